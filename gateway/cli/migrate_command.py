"""``facegate models migrate``."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli import common
from gateway.settings import Site

_WHY = {
    "no_photograph": "no photograph is kept",
    "no_face": "no face is found in the kept photographs",
    "photos_disagree": "the new model does not see one person in the kept photographs",
    "already_enrolled": "the new model takes them for somebody else",
    "seal_broken": "the kept photographs do not open",
    "changed": "changed meanwhile; run this again",
}


@click.command("migrate")
@click.option("--to", "name", required=True, help="The embedder, as `facegate models list` names it.")
@click.option(
    "--finish",
    is_flag=True,
    help="Destroy the old templates, once every gateway has been started with the new model.",
)
@common.config_option
def migrate(name: str, config: Path | None, finish: bool) -> None:  # noqa: FBT001  # click's way
    """Give everyone templates of another model, from the photographs that are kept.

    It can be stopped and run again; the doors work on with the old templates until --finish. Exit code 1
    while somebody has templates, but none of the new model.
    """
    site = common.site(config)
    if finish:
        _finish(site, name)
    else:
        _migrate(site, name)


def _migrate(site: Site, name: str) -> None:
    from gateway.commands import operator
    from gateway.enrolment_desk import migrating
    from gateway.services.enrolment.migrate import Migrated

    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=None)

        async def work() -> Migrated:
            async with migrating(site, name) as migration:
                return await migration.run(
                    operator(), lambda done, total: bar.update(task, completed=done, total=total)
                )

        done = common.run(work())
    click.echo(f"{done.migrated} people given templates of {name}; {done.already} had them already")
    for person in done.appointments:
        click.echo(f"{person.number}: needs an appointment: {_WHY[person.why]}")
    if not done.complete:
        raise SystemExit(1)
    click.echo(
        f"Everyone is there. Choose it with `facegate models use {name}` and start every gateway anew; "
        f"then `facegate models migrate --to {name} --finish`"
    )


def _finish(site: Site, name: str) -> None:
    from gateway.commands import operator
    from gateway.enrolment_desk import migrating

    async def work() -> int:
        async with migrating(site, name, active=True) as migration:
            return await migration.finish(operator())

    click.echo(f"{common.run(work())} templates of other models destroyed")
