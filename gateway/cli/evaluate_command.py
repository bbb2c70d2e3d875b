"""``facegate evaluate``."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from gateway.cli import common
from gateway.settings import Recognition


@click.command("evaluate")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the counts.")
@click.option(
    "--false-positive-target",
    type=click.FloatRange(0, 0.1, min_open=True),
    default=Recognition().false_positive_target,
    show_default=True,
)
def evaluate(folders: tuple[Path, ...], out: Path | None, false_positive_target: float) -> None:
    """Error rates on your own pictures: FOLDERS hold one folder a person.

    Every second picture is enrolled, the others are shown, each alone, once with its person enrolled
    and once without. A door asks for more than one picture, so it errs less.
    """
    from gateway.rehearsal.evaluate import evaluate as measure
    from gateway.vision import models
    from gateway.vision.engine import FaceEngine
    from gateway.vision.photo import PhotoAnalyser

    folder = models.default_folder()
    known = models.manifest(folder)
    analyser = PhotoAnalyser(FaceEngine.load(folder, threads=2))
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("looking at pictures")
        counts = measure(
            folders,
            analyser,
            lambda templates: known.threshold(false_positive_target, templates),
            Recognition().margin,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    text = json.dumps(counts.as_json(), indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)
