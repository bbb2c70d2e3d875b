"""The models a site may use, as data: name, digest, licence, source, preprocessing, calibration."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.domain.errors import ConfigError
from gateway.domain.ids import ModelId
from gateway.vision.calibration import Calibration, false_match_rate

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Role = Literal["detector", "embedder", "liveness"]


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a network wants its picture: each value becomes ``(value - mean) * scale``."""

    colour: Literal["bgr", "rgb"]
    size: Annotated[int, Meta(ge=32, le=1024)] | None = None
    """Side of the square; None takes any size in multiples of 32."""
    mean: Annotated[float, Meta(ge=0, le=255)] = 0.0
    scale: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model file."""

    name: Name
    role: Role
    file: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\.onnx$")]
    sha256: Digest
    """Of the file that is run."""
    licence: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    """For people: where it comes from."""
    input: Input
    package: str | None = None
    """``pip:NAME==VERSION`` or ``npm:NAME@VERSION``; None for a model a site added itself."""
    path: str | None = None
    """Inside the package."""
    source_sha256: Digest | None = None
    fold: Literal["no", "weights", "weights-and-size"] = "no"
    """What ``gateway.vision.fold`` does to it, and whether its picture's size becomes free."""
    dimension: int | None = None
    calibration: Calibration | None = None

    @property
    def model_id(self) -> ModelId:
        """Name and short digest: embeddings of two different files never compare."""
        return ModelId(f"{self.name}:{self.sha256[:12]}")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All models, and which one serves each role."""

    models: tuple[Model, ...] = ()
    active: dict[Role, str] = {}

    def of(self, role: Role) -> Model:
        """The active model of a role. Raises ConfigError when the manifest names none."""
        name = self.active.get(role)
        found = next((m for m in self.models if m.name == name and m.role == role), None)
        if found is None:
            raise ConfigError(f"models.toml: active.{role}: no {role} is called {name!r}")
        return found

    def threshold(self, false_positive_target: float, templates: int) -> float:
        """Cosine from which the active embedder's search over ``templates`` keeps FPIR at its target.

        Raises ConfigError when the embedder was never calibrated.
        """
        return self.one_to_one(false_match_rate(false_positive_target, templates))

    def one_to_one(self, rate: float) -> float:
        """Cosine at which one comparison of two people matches at this rate (FMR). Raises ConfigError."""
        model = self.of("embedder")
        if model.calibration is None:
            raise ConfigError(f"models.toml: {model.name}: has no calibration, so no threshold can be chosen")
        return model.calibration.threshold(rate)

    def with_embedder(self, name: str) -> "Manifest":
        """As if another embedder were the active one. Raises ConfigError when there is none of this name."""
        changed = msgspec.structs.replace(self, active=self.active | {"embedder": name})
        changed.of("embedder")
        return changed


def load_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises ConfigError naming file and key."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Manifest)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error


def manifest_text(content: Manifest) -> str:
    """The text of a site's own manifest: TOML with JSON's strings, numbers and arrays, which TOML shares."""
    lines = [
        "# Written by `facegate models`: the site's own embedders, and which one is used.",
        "",
        "[active]",
    ]
    lines += [f"{role} = {_toml(name)}" for role, name in content.active.items()]
    for model in content.models:
        fields = msgspec.to_builtins(model)
        tables = {k: v for k, v in fields.items() if isinstance(v, dict)}
        lines += ["", "[[models]]"]
        lines += [f"{k} = {_toml(v)}" for k, v in fields.items() if v is not None and k not in tables]
        for name, table in tables.items():
            lines += ["", f"[models.{name}]"]
            lines += [f"{k} = {_toml(v)}" for k, v in table.items() if v is not None]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def sha256(content: bytes) -> str:
    """Digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
