"""``facegate run`` and ``facegate check-config``."""

import asyncio
import signal
from pathlib import Path

import click

from gateway.cli import common


@click.command("run")
@common.config_option
def run(config: Path | None) -> None:
    """Serve the doors of a site until SIGINT or SIGTERM."""
    from gateway.app import running  # --help needs none of it

    site = common.site(config)

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with running(site):
            await stop.wait()

    with common.naming(config):
        common.run(serve())


@click.command("check-config")
@common.config_option
def check_config(config: Path | None) -> None:
    """Check a site file without starting anything."""
    from gateway.doors import Doors

    site = common.site(config)
    with common.naming(config):
        doors = Doors.of_site(site)
        if site.api is not None:
            from gateway import office

            office.check(site.api)
    click.echo(
        f"{config}: good: {len(site.cameras)} cameras, {len(site.devices)} devices, "
        f"{len(site.doors)} doors, {len(site.turnstiles)} turnstiles, {len(site.access_points)} access points"
    )
    for point in site.access_points:
        if point.liveness == "off":
            click.echo(f"  {point.id}: LIVENESS IS OFF: a photograph of an employee opens this door")
    for lock_id, lock in doors.locks.items():
        facts = lock.health().facts
        known = [facts[key] for key in ("profile", "class", "verified") if key in facts]
        click.echo(f"  {lock_id}: {', '.join(known)}")
