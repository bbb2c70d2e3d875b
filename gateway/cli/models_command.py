"""``facegate models pull | list | verify | use | add | migrate``."""

from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.cli.migrate_command import migrate

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


models.add_command(migrate)


@models.command("use")
@click.argument("name")
@_folder
def use(name: str, folder: Path | None) -> None:
    """Make the embedder NAME the active one, from each gateway's next start on."""
    from gateway.vision import models as library

    library.use(folder or library.default_folder(), name)
    click.echo(f"{name} is the active embedder; who has no templates of it is not recognised")


@models.command("add")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", required=True, help="What to call it.")
@click.option("--licence", required=True, help="What its licence allows is yours to check.")
@click.option("--source", required=True, help="Where it comes from.")
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), default="rgb", show_default=True)
@click.option("--mean", default=127.5, show_default=True, help="Subtracted from each value of 0..255.")
@click.option("--scale", default=1 / 127.5, show_default="1/127.5", help="Multiplied after that.")
@click.option(
    "--calibrate-on",
    "pictures",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with one folder of pictures a person; sets the thresholds.",
)
@click.option("--use", "use_it", is_flag=True, help="Make it the active embedder; everyone is enrolled anew.")
@_folder
def add(
    file: Path,
    name: str,
    licence: str,
    source: str,
    colour: Literal["rgb", "bgr"],
    mean: float,
    scale: float,
    pictures: tuple[Path, ...],
    use_it: bool,  # noqa: FBT001  # click's way
    folder: Path | None,
) -> None:
    """Add your own 112x112 ArcFace-style embedder (ONNX FILE)."""
    from gateway.rehearsal.calibrate import calibrate
    from gateway.vision import models as library
    from gateway.vision.manifest import Input

    where = folder or library.default_folder()
    picture = Input(colour=colour, size=112, mean=mean, scale=scale)
    model = library.add(where, file, name=name, licence=licence, source=source, picture=picture)
    click.echo(f"{model.name} added: {model.dimension} dimensions, SHA-256 {model.sha256}")
    if pictures:
        measured = calibrate(where, name, pictures, lambda text: click.echo(f"  {text}", err=True))
        click.echo("calibrated: " + ", ".join(f"{rate:.0e} at {at:.3f}" for rate, at in measured.points))
    if use_it:
        library.use(where, name)
        click.echo(f"{name} is the active embedder; enrol everyone with it")
    elif not pictures:
        click.echo("It serves once it is calibrated (--calibrate-on) and chosen (--use).")
