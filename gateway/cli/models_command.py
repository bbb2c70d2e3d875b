"""``facegate models pull | list | verify | add``."""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_folder = click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Default: this installation's."
)


@click.group("models")
def models() -> None:
    """The models that find, judge and recognise faces."""


@models.command("pull")
@_folder
def pull(folder: Path | None) -> None:
    """Fetch the default models, convert them, and check every digest."""
    from gateway.vision import models as library

    where = folder or library.default_folder()
    columns = (TextColumn("{task.description:<60}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, object] = {}

        def show(what: str, done: int, total: int) -> None:
            name = what.split(":", maxsplit=1)[0]
            if name not in tasks:
                tasks[name] = bar.add_task(what, total=total)
            bar.update(tasks[name], description=what, completed=done)  # type: ignore[arg-type]

        fetched = library.pull(where, show)
    click.echo(f"{len(fetched)} model(s) fetched; all are in {where}")


@models.command("list")
@_folder
def list_(folder: Path | None) -> None:
    """Show every model with its role, licence and source."""
    from gateway.vision import models as library

    table = Table("name", "role", "active", "licence", "file", "source")
    for model, active, state in library.states(folder or library.default_folder()):
        table.add_row(
            model.name,
            model.role,
            "yes" if active else "",
            model.licence,
            "ok" if state == "ok" else "missing or altered",
            model.source,
        )
    Console().print(table)


@models.command("verify")
@_folder
def verify(folder: Path | None) -> None:
    """Check the digest of every model; exit code 1 when one is missing or altered."""
    from gateway.vision import models as library

    wrong = 0
    for model, _, state in library.states(folder or library.default_folder()):
        click.echo(f"{model.name}: {state}")
        wrong += state != "ok"
    if wrong:
        raise SystemExit(1)
