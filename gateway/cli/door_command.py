"""``facegate door profiles | test | watch | scan``."""

import asyncio
import contextlib
from pathlib import Path

import click

from gateway.cli import common
from gateway.domain.errors import InvalidInput


@click.group("door")
def door() -> None:
    """For the installer: device profiles, and a door's relay and sensors."""


@door.command("profiles")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Your own profiles, beside the shipped ones.",
)
def profiles(folder: Path | None) -> None:
    """List the devices that Facegate knows, and who ends their pulse."""
    from drivers.modbus.profiles import all_profiles, describe
    from gateway.resources import data

    folders = (*((folder,) if folder else ()), data("config/devices"))
    for file, profile in all_profiles(folders).items():
        row = describe(file, profile)
        ends = f"class {row.pulse_class}, {row.verified}"
        click.echo(f"{row.file:<22} {ends:<15} {row.name}: {', '.join(row.models)}")
        parts = [f"{row.relays} relays", f"{row.inputs} inputs" if row.inputs else "no inputs"]
        parts += [f"pulse {row.pulse}", *([f"watchdog {row.watchdog}"] if row.watchdog else [])]
        click.echo(f"{'':<22} {'; '.join(parts)}; {', '.join(row.transports)}")
    click.echo("A: the device ends the pulse.  B: its watchdog does, armed and proven at each connection.")
    click.echo("C: nobody does if the gateway dies; refused unless the site file accepts that in words.")


@door.command("test")
@click.argument("door_id", metavar="ID")
@common.config_option
@click.option("--direction", type=click.Choice(["in", "out"]), default="in", show_default=True)
@click.option("--extended", is_flag=True, help="The longer pulse.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def test(door_id: str, config: Path | None, direction: str, extended: bool, yes: bool) -> None:  # noqa: FBT001
    """Open a door once, read it back, and say what its sensors saw. Stop the gateway first."""
    from gateway.installer.door_test import Report, test_door

    site = common.site(config)
    opening = site.opening(door_id)
    if not yes:
        click.confirm(f"This releases {opening.name}. Is somebody there who keeps an eye on it?", abort=True)

    async def work() -> Report:
        return await test_door(site, door_id, direction, extended=extended, say=click.echo)

    with common.naming(config):
        report = common.run(work())
    for key, value in report.health.facts.items():
        click.echo(f"  {key:<12} {value}")
    act = report.actuation
    click.echo(f"pulse: {act.outcome.value}: {act.evidence}")
    for after, what in report.changes:
        click.echo(f"  {after:6.2f} s  {what}")
    if not report.changes:
        click.echo("  no sensor changed")
    click.echo("relay: OFF and read back" if report.locked else "relay: NOT read back as OFF")
    if not report.good:
        raise SystemExit(1)


@door.command("watch")
@click.argument("door_id", metavar="ID")
@common.config_option
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Stop after so long; default: Ctrl-C.")
def watch(door_id: str, config: Path | None, seconds: float | None) -> None:
    """Show a door's inputs and relay live. Reads only."""
    from gateway.installer.door_watch import watch_door

    site = common.site(config)
    site.opening(door_id)
    with contextlib.suppress(KeyboardInterrupt, TimeoutError):
        common.run(asyncio.wait_for(watch_door(site, door_id, click.echo), seconds))


@door.command("scan")
@click.argument("host")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 502, 4196 and 802's neighbours.")
@click.option("--units", default="1", show_default=True, help="Unit addresses, such as 1-8 or 1,3.")
@click.option("--rtu", is_flag=True, help="RTU over TCP.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def scan(host: str, port: int | None, units: str, rtu: bool, folder: Path | None) -> None:  # noqa: FBT001
    """Say which profile a device answers like. Reads only; nothing is switched."""
    from gateway.installer.door_scan import scan_host

    found = common.run(scan_host(host, port, _numbers(units), rtu=rtu, folder=folder))
    for answer in found:
        if not answer.alive:
            click.echo(f"unit {answer.unit}: no answer")
            continue
        click.echo(f"unit {answer.unit}: answers in {answer.round_trip_ms} ms")
        for match in answer.matches[:8]:
            click.echo(f"  {match.likeness.name.lower():<9} {match.profile:<24} {match.why}")
        if not answer.matches:
            click.echo("  like no profile there is; write one (docs/devices.md)")


def _numbers(text: str) -> tuple[int, ...]:
    """``1-8`` or ``1,3``. Raises InvalidInput."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise InvalidInput(f'units: "{text}" is not a list such as 1-8 or 1,3') from None
    if not found or not all(1 <= n <= 247 for n in found):
        raise InvalidInput(f'units: "{text}" must be within 1 to 247')
    return tuple(found)
