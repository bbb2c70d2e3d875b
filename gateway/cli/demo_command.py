"""``facegate demo``."""

import json
from pathlib import Path

import click

from gateway.cli import common
from gateway.domain.errors import InvalidInput


@click.command("demo")
@click.option("--once", is_flag=True, help="Play once, check what happened, and end.")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write a summary.")
@click.option("--camera", help="Your own: an RTSP or HTTP address, a recording, or /dev/videoN.")
@click.option("--enrol", "people", multiple=True, metavar="NAME=PHOTO", help="Your own people.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-state"),
    show_default=True,
    help="Folder for database, key and journal; emptied at each start.",
)
@click.option("--seconds", default=60.0, show_default=True, help="How long --once watches a live camera.")
def demo(
    once: bool,  # noqa: FBT001  # click's way
    out: Path | None,
    camera: str | None,
    people: tuple[str, ...],
    state: Path,
    seconds: float,
) -> None:
    """Watch a door open for an employee, and stay shut for a stranger and for a photograph held up.

    With --once the exit code is 0 only if the right door events happened and the record verifies.
    """
    from gateway.rehearsal.demo import Options
    from gateway.rehearsal.demo import demo as run_demo

    common.quiet_worker()
    pairs = []
    for given in people:
        name, equals, photo = given.partition("=")
        if not (name and equals and photo):
            raise InvalidInput(f"--enrol {given}: write it as NAME=PHOTO")
        pairs.append((name, Path(photo)))
    options = Options(state=state, once=once, camera=camera, people=tuple(pairs), seconds=seconds)
    summary = common.run(run_demo(options, click.echo))
    if out is not None:
        common.write_atomically(out, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    acts = summary["acts"]
    for act in acts if isinstance(acts, list) else []:
        click.echo(f"  {'ok ' if act['ok'] else 'NOT'}  {act['act']}: expected {act['expected']}")
    click.echo(
        f"{summary['grants']} grants, {summary['pulses']} pulses of the relay; "
        f"record {'whole' if summary['journal_and_ledger_agree'] else 'BROKEN'}: "
        + ", ".join(f"{name} {c['events']} events" for name, c in summary["chain"].items())  # type: ignore[attr-defined]
    )
    if not summary["ok"]:
        click.echo("The demo did NOT go as it should.", err=True)
        raise SystemExit(1)
