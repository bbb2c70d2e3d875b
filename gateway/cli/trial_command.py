"""``facegate trial``."""

import json
from pathlib import Path
from typing import Literal

import click

from gateway.cli import common
from gateway.settings import Recognition

Pace = Literal["every-frame", "own"]


@click.command("trial")
@click.option(
    "--enrol",
    "enrol_dir",
    required=True,
    type=click.Path(path_type=Path),
    help="One photograph or folder a person.",
)
@click.option(
    "--clip", "clips", required=True, multiple=True, type=click.Path(path_type=Path), help="A video."
)
@click.argument("more_clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Lines, then a summary.")
@click.option(
    "--pace",
    type=click.Choice(["every-frame", "own"]),
    default="every-frame",
    show_default=True,
    help="Every frame as fast as it can be analysed, or the video's own speed as a door would see it.",
)
@click.option("--liveness", type=click.Choice(["required", "off"]), default="required", show_default=True)
@click.option(
    "--false-positive-target",
    type=click.FloatRange(0, 0.1, min_open=True),
    default=Recognition().false_positive_target,
    show_default=True,
)
@click.option("--access-point", "door", default="trial", show_default=True, help="Name of the door.")
def trial(
    enrol_dir: Path,
    clips: tuple[Path, ...],
    more_clips: tuple[Path, ...],
    out: Path | None,
    pace: Pace,
    liveness: str,
    false_positive_target: float,
    door: str,
) -> None:
    """Try Facegate on your own video: who would have been let in, who not, and why.

    Runs the whole gateway with an embedded database and a simulated door, in a folder that is erased at
    the end. Standard output carries one JSON line a decision; FILE gets the same and a summary.
    """
    from gateway.rehearsal.stage import Staging  # --help needs none of it
    from gateway.rehearsal.trial import Options
    from gateway.rehearsal.trial import trial as run_trial

    common.quiet_worker()
    staging = Staging(
        door=door,
        liveness=liveness == "required",
        recognition=Recognition(false_positive_target=false_positive_target),
    )
    lines: list[str] = []

    def emit(line: dict[str, object]) -> None:
        lines.append(json.dumps(line, ensure_ascii=False))
        click.echo(lines[-1])

    options = Options(staging=staging, every_frame=pace == "every-frame")
    summary = common.run(run_trial(enrol_dir, [*clips, *more_clips], options, emit))
    people = summary["people"]
    if isinstance(people, dict):
        for name, person in people.items():
            for refusal in person["refused"]:
                click.echo(f"{name}: not enrolled: {refusal['why']}", err=True)
    if out is not None:
        common.write_atomically(out, "\n".join([*lines, json.dumps(summary, ensure_ascii=False)]) + "\n")
    click.echo(
        f"{summary['granted']} granted, {summary['denied']} denied; chain whole: {summary['chain_whole']}",
        err=True,
    )
