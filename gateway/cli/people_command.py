"""``facegate people …``."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gateway.cli import common
from gateway.domain.errors import InvalidInput
from gateway.domain.imports import ImportRecord, ImportState, LineResult, LineState
from gateway.ports import ImportStore

_PAGE = 1000
_SHOWN = 20


@click.group("people")
def people() -> None:
    """People in bulk: a staff file with photographs in, the same out again."""


@people.command("import")
@click.argument("staff", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("photos", required=False, type=click.Path(path_type=Path, exists=True))
@common.config_option
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what became of each line as CSV.",
)
def import_people(
    staff: Path,
    photos: Path | None,
    config: Path | None,
    dry_run: bool,  # noqa: FBT001  # click's way
    report: Path | None,
) -> None:
    """Import STAFF, a CSV file (or the ZIP of an export), with PHOTOS, a folder or a ZIP.

    Photographs are those named in the column "photos", or those called after the number: 4711.jpg,
    4711-2.jpg, 4711/any.jpg. Whoever is there already is changed; who has new photographs is enrolled
    again; nobody is removed. Stopped, the same command goes on where it was. Exit code 1: lines were
    refused.
    """
    from gateway.bulk import bulk
    from gateway.commands import operator

    site = common.site(config)

    async def work() -> tuple[ImportRecord, list[LineResult]]:
        async with bulk(site) as all_of_it:
            with _progress() as bar:

                def begun(record: ImportRecord) -> "_Told":
                    if record.done and not record.dry_run:
                        click.echo(f"going on after {record.done} of {record.total} lines", err=True)
                    done = 0 if record.dry_run else record.done
                    return _Told(bar, bar.add_task("lines", total=record.total, completed=done))

                command = all_of_it.command()
                record = await command.run(operator(), staff, photos, dry_run=dry_run, begun=begun)
            return record, [line async for line in _all_lines(command.store, record.import_id)]

    record, lines = common.run(work())
    if report is not None:
        common.write_atomically(report, _report(lines))
    _say(record, lines)
    if record.state is not ImportState.DONE or record.counts.get(LineState.REFUSED):
        raise SystemExit(1)


class _Told:
    """Moves the bar."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def __call__(self, result: LineResult) -> None:
        del result
        self._bar.advance(self._task)


@people.command("export")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@common.config_option
@click.option("--photographs", is_flag=True, help="With the photographs that are kept; into a ZIP only.")
def export_people(out: Path, config: Path | None, photographs: bool) -> None:  # noqa: FBT001  # click's way
    """Export everybody to OUT, a .csv or .zip file that an import takes in again.

    The file holds personal data in the clear: only its owner may read it, and every photograph in it is on
    record as looked at.
    """
    from gateway.bulk import exports
    from gateway.commands import operator

    kind = out.suffix.casefold()
    if kind not in {".csv", ".zip"}:
        raise InvalidInput(f"{out}: give a name that ends with .csv or .zip")
    if photographs and kind != ".zip":
        raise InvalidInput(f"{out}: photographs go into a .zip only")
    site = common.site(config)

    async def work() -> None:
        async with exports(site) as exporting:
            me = operator()
            parts = exporting.lines(me) if kind == ".csv" else exporting.archive(me, photographs=photographs)
            await _write(out, parts)

    common.run(work())
    click.echo(f"{out}: personal data in the clear; delete it when it is no longer needed")


async def _write(out: Path, parts: AsyncIterator[bytes]) -> None:
    """Whole or not at all, and for its owner alone."""
    part = out.with_name(f".{out.name}.part")
    try:
        with _private(part) as file:
            async for data in parts:
                file.write(data)
        part.replace(out)
    except OSError as error:
        raise InvalidInput(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    return path.open("wb")


async def _all_lines(store: ImportStore, import_id: str) -> AsyncIterator[LineResult]:
    after = 0
    while page := await store.lines(import_id, after, _PAGE):
        for line in page:
            yield line
        after = page[-1].line


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _report(lines: Sequence[LineResult]) -> str:
    from gateway.services.imports.cells import harmless

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["line", "number", "state", "code", "message"])
    for r in lines:
        writer.writerow([r.line, harmless(r.number), r.state.value, r.code or "", harmless(r.message or "")])
    return out.getvalue()


def _say(record: ImportRecord, lines: Sequence[LineResult]) -> None:
    for note in record.notes:
        click.echo(note)
    refused = [r for r in lines if r.state is LineState.REFUSED]
    for r in refused[:_SHOWN]:
        click.echo(f"line {r.line}: refused: {r.message} [{r.code}]")
    if len(refused) > _SHOWN:
        click.echo(f"… and {len(refused) - _SHOWN} more; --report FILE has them all")
    counts = ", ".join(f"{record.counts.get(s, 0)} {s.value}" for s in LineState)
    what = "dry run (nothing was written)" if record.dry_run else "import"
    click.echo(f"{what} {record.state.value}: {counts}")
    if record.why:
        click.echo(f"{record.why} [{record.code}]")
