"""The models a site may use, as data: name, digest, licence, source, preprocessing, calibration."""

import hashlib
import itertools
import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.domain.errors import ConfigError
from gateway.domain.ids import ModelId

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Role = Literal["detector", "embedder", "liveness"]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Measured points (false match rate of one comparison, cosine), rates falling, cosines rising."""

    points: tuple[tuple[float, float], ...]
    measured_on: str

    def threshold(self, false_match_rate: float) -> float:
        """Cosine at which impostor comparisons match at this rate.

        Between points linear in log10 of the rate; beyond the last one along the last slope; never
        below the lowest measured cosine.
        """
        points = [(math.log10(rate), cosine) for rate, cosine in self.points]
        x = math.log10(false_match_rate)
        if x >= points[0][0]:
            return points[0][1]
        pairs = list(itertools.pairwise(points))
        (x0, y0), (x1, y1) = next((p for p in pairs if x >= p[1][0]), pairs[-1])
        return min(0.95, y0 + (x - x0) * (y1 - y0) / (x1 - x0))


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model file."""

    name: str
    role: Role
    file: str
    sha256: Digest
    """Of the file that is run."""
    licence: str
    source: str
    """For people: where it comes from."""
    preprocessing: str
    package: str | None = None
    """``pip:NAME==VERSION`` or ``npm:NAME@VERSION``; None for a model a site added itself."""
    path: str | None = None
    """Inside the package."""
    source_sha256: Digest | None = None
    fold: Literal["no", "weights", "weights-and-size"] = "no"
    dimension: int | None = None
    calibration: Calibration | None = None

    @property
    def model_id(self) -> ModelId:
        """Name and short digest: embeddings of two different files never compare."""
        return ModelId(f"{self.name}:{self.sha256[:12]}")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All models, and which one serves each role."""

    models: tuple[Model, ...]
    active: dict[Role, str]

    def of(self, role: Role) -> Model:
        """The active model of a role. Raises ConfigError when the manifest names none."""
        name = self.active.get(role)
        found = next((m for m in self.models if m.name == name and m.role == role), None)
        if found is None:
            raise ConfigError(f"models.toml: active.{role}: no {role} is called {name!r}")
        return found


def load_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises ConfigError naming file and key."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Manifest)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def false_match_rate(false_positive_target: float, templates: int) -> float:
    """Rate one comparison may have so that a search over ``templates`` keeps the target (FPIR).

    ISO/IEC 19795-1: for independent comparisons FPIR = 1 - (1 - FMR)^N.
    """
    return float(-math.expm1(math.log1p(-false_positive_target) / max(1, templates)))
