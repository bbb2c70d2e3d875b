"""``facegate simulate``."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Literal

import click

from gateway.cli import common
from gateway.domain.errors import InvalidInput

_file = click.Path(path_type=Path, dir_okay=False)


@click.command("simulate")
@click.option("--profile", help="A device: `facegate door profiles` lists them.")
@click.option("--site", "config", type=_file, help="Every device and door of a site file instead.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option("--unit", type=click.IntRange(1, 247), help="Default: the profile's.")
@click.option("--rtu", is_flag=True, help="RTU over TCP instead of Modbus TCP.")
@click.option("--script", type=_file, help="What people do and what goes wrong, by the second (TOML).")
@click.option("--record", type=_file, help="Append every change of a relay here, as JSON lines.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Own profiles.")
def simulate(
    profile: str | None,
    config: Path | None,
    port: int,
    unit: int | None,
    rtu: bool,  # noqa: FBT001  # click's way
    script: Path | None,
    record: Path | None,
    folder: Path | None,
) -> None:
    """Turn a profile, or a whole site, into simulated devices with doors: rehearse on a laptop."""
    from drivers.modbus.profiles import load_profile
    from drivers.simulators.script import load_script
    from gateway.rehearsal import simulate as stage
    from gateway.resources import data

    if (profile is None) == (config is None):
        raise InvalidInput("give either --profile NAME or --site FILE")
    folders = (*((folder,) if folder else ()), data("config/devices"))
    known = load_profile(folders, profile, where="--profile") if profile else None
    site = common.site(config) if config else None
    story = load_script(script) if script else None

    async def work() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with contextlib.ExitStack() as files:
            rehearsal = stage.Rehearsal(stage.stamped(click.echo), stage.recorder(record, files))
            if known is not None:
                framing: Literal["rtu", "tcp"] = "rtu" if rtu else "tcp"
                served = stage.one_device(
                    rehearsal, profile or "", known, port=port, unit=unit, framing=framing
                )
            elif site is not None:
                served = stage.whole_site(rehearsal, site)
            async with served:
                await stage.perform(rehearsal, story, str(script), stop)

    common.run(work())
