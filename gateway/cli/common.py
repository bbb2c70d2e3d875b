"""What several commands share."""

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import uvloop

from gateway import settings
from gateway.domain.errors import ConfigError, InvalidInput

T = TypeVar("T")

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="FACEGATE_CONFIG",
    show_envvar=True,
    help="The site file.",
)


def site(config: Path | None) -> settings.Site:
    """The checked site file. Raises ConfigError."""
    if config is None:
        raise ConfigError(
            "no site file: give --config FILE or set FACEGATE_CONFIG; start from config/site.example.toml"
        )
    return settings.load(config)


@contextlib.contextmanager
def naming(config: Path | None) -> Iterator[None]:
    """What is found wrong with a site after it was read names its file too."""
    try:
        yield
    except ConfigError as error:
        if config is None or str(error).startswith(str(config)):
            raise
        raise ConfigError(f"{config}: {error}", code=error.code) from error


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop. Ctrl-C cancels the work and lets it end in order."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def quiet_worker() -> None:
    """A rehearsal's worker says only what is wrong: its camera's coming and going is part of the play."""
    os.environ.setdefault("FACEGATE_WORKER_LOG", "error")


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises InvalidInput when it cannot be written."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidInput(f"{path}: cannot be written ({error.strerror})") from error
