"""``facegate bench …``."""

import json
from pathlib import Path

import click

from gateway.cli import common


@click.group("bench")
def bench() -> None:
    """Measurements, each beside a peer in the same run. Ratios matter, not absolute times."""


@bench.command("walkup")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures.")
@click.option("--walk-ups", default=200, show_default=True, type=click.IntRange(min=1))
@click.option("--no-peer", is_flag=True, help="Leave face_recognition (dlib) out.")
def walkup(out: Path | None, walk_ups: int, no_peer: bool) -> None:  # noqa: FBT001  # click's way
    """Time from a frame's arrival to the relay's coil edge, and where it goes."""
    from gateway.rehearsal.bench_walkup import bench as run_bench

    common.quiet_worker()
    found = common.run(
        run_bench(walk_ups, with_peer=not no_peer, say=lambda text: click.echo(text, err=True))
    )
    text = json.dumps(found, indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)


@bench.command("idle")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures.")
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(min=1))
def idle(out: Path | None, seconds: float) -> None:
    """Share of one core that a vision worker needs for a doorway with nobody in it."""
    from gateway.rehearsal.bench_idle import bench as run_bench

    common.quiet_worker()
    text = json.dumps(common.run(run_bench(seconds)), indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)


@bench.command("modbus")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures.")
@click.option("--unlocks", default=300, show_default=True, type=click.IntRange(min=1))
@click.option("--no-peer", is_flag=True, help="Leave pymodbus with its own defaults out (it takes a minute).")
def modbus(out: Path | None, unlocks: int, no_peer: bool) -> None:  # noqa: FBT001  # click's way
    """Time from a grant to the relay read back as ON: idle, loaded, and behind a dead unit."""
    from gateway.rehearsal.bench_modbus import bench as run_bench

    found = common.run(run_bench(unlocks, with_peer=not no_peer, say=lambda text: click.echo(text, err=True)))
    text = json.dumps(found, indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)


@bench.command("import")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures.")
@click.option("--people", default=2000, show_default=True, type=click.IntRange(min=10))
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of portraits to make people of, beside the two that packages ship.",
)
def import_(out: Path | None, people: int, pictures: Path | None) -> None:
    """People a minute through an import, beside the embedding of their photographs alone."""
    from gateway.rehearsal.bench_import import bench as run_bench

    found = common.run(run_bench(people, pictures, say=lambda text: click.echo(text, err=True)))
    text = json.dumps(found, indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)


@bench.command("revoke")
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures.")
@click.option("--tries", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--people", default=500, show_default=True, type=click.IntRange(min=1, max=100_000))
def revoke(out: Path | None, tries: int, people: int) -> None:
    """Time from a suspension to the refusal at two gateways, beside two that only poll."""
    from gateway.rehearsal.bench_revoke import bench as run_bench

    found = common.run(run_bench(tries, people, say=lambda text: click.echo(text, err=True)))
    text = json.dumps(found, indent=2)
    if out is not None:
        common.write_atomically(out, text + "\n")
    click.echo(text)
