"""``facegate keys …``."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from gateway.cli import common


@click.group("keys")
def keys() -> None:
    """The master key: what is under it, whether all opens, and changing it while doors work."""


@keys.command("status")
@common.config_option
def status(config: Path | None) -> None:
    """Which master keys there are, how many keys each wraps, and which gateways have it.

    Exit code 1 when one is missing here.
    """
    from gateway import key_desk

    found = common.run(key_desk.status(common.site(config)))
    table = Table("key", "state", "people", "site", "here", "gateways")
    for row in found.rows:
        table.add_row(
            row.key_id or "(not named)",
            row.state.value if row.state else "",
            str(row.use.people),
            str(row.use.site),
            "yes" if row.here else "no",
            ", ".join(row.holders),
        )
    click.echo(f"Key file: {found.file}")
    Console().print(table)
    if found.under_way:
        click.echo("A change of keys is under way: `facegate keys rotate` goes on with it")
    for line in found.lacking:
        click.echo(f"MISSING: {line}")
    if found.lacking:
        raise SystemExit(1)


@keys.command("check")
@common.config_option
def check(config: Path | None) -> None:
    """Open every person's key and every key of the site; exit code 1 when one does not."""
    from gateway import key_desk

    count, broken = common.run(key_desk.check(common.site(config)))
    for key, why in broken:
        click.echo(f"{key.kind} {key.name}: {why}")
    click.echo(f"{count - len(broken)} of {count} keys open")
    if broken:
        raise SystemExit(1)


@keys.command("rotate")
@common.config_option
@click.option(
    "--wait",
    "wait_s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds for running gateways to have the new key.",
)
@click.option("--skip", multiple=True, metavar="GATEWAY", help="Do not wait for this gateway; it is no more.")
@click.option(
    "--give-up",
    is_flag=True,
    help="An unfinished change's next key is lost: make another. Nothing is wrapped by it.",
)
def rotate(config: Path | None, wait_s: float, skip: tuple[str, ...], *, give_up: bool) -> None:
    """Make a new master key, wrap every key by it, destroy the old one.

    Doors work meanwhile. It can be stopped at any moment and run again: then it goes on. Gateways on other
    machines are waited for until the key file is copied to them.
    """
    from gateway import key_desk
    from gateway.services.key_rotation import Progress

    site = common.site(config)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("changing the master key", total=None)

        def say(progress: Progress) -> None:
            bar.update(task, description=progress.step, completed=progress.done, total=progress.total or None)

        found = common.run(
            key_desk.rotate(site, wait_s=wait_s, skip=frozenset(skip), give_up=give_up, say=say)
        )
    click.echo(
        f"The master key is {found.key_id}; {found.done} keys were wrapped by it just now, none by another. "
        "Make a backup of the key file; backups of the database from before need the old one"
    )
    if not found.fresh:
        click.echo("This finished a change that was begun before; for another new key run it again")
