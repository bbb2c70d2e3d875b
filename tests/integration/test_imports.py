"""Imports on a real database: everybody once, whatever happens in between."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.errors import DatabaseUnavailable, JournalUnavailable, Rejected
from gateway.domain.imports import ImportRecord, ImportState, LineResult, LineState
from gateway.domain.query import Compare, Query
from gateway.domain.staff import NewPerson, Page
from gateway.services.imports.command import CommandImport
from gateway.services.imports.desks import StaffDesk
from gateway.services.imports.importing import Importing
from gateway.storage.imports import PostgresImports
from gateway.storage.pool import Database
from tests.fakes.importing import (
    CONSENT_TEXT,
    HR,
    MadeUpCheck,
    Recorded,
    add_consent_text,
    importing,
    picture,
    write_staff,
)

TABLES = ("people", "consents", "templates", "person_profiles")
HEADER = "number,name,department,consent_version,consent_given_on,consent_how"
AGREED = f"{CONSENT_TEXT},2026-01-31,paper"


async def run(
    made: Importing,
    staff: Path,
    photos: Path | None = None,
    *,
    dry_run: bool = False,
    stop_after: int | None = None,
) -> tuple[ImportRecord, list[LineResult]]:
    seen: list[LineResult] = []

    def told(result: LineResult) -> None:
        seen.append(result)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    command = CommandImport(made.store, made, made.acted)
    record = await command.run(HR, staff, photos, dry_run=dry_run, begun=lambda _record: told)
    return record, [*await made.store.lines(record.import_id, 0, 100_000)]


async def rows(database: Database) -> dict[str, int]:
    async with database.connection() as db:
        return {t: await db.fetchval(f"SELECT count(*) FROM {t}") for t in TABLES}  # noqa: S608


def states(lines: list[LineResult]) -> list[str]:
    return [line.code or line.state.value for line in lines]


@pytest.fixture
async def site(database: Database) -> Database:
    await add_consent_text(database)
    return database


async def test_everybody_is_created_enrolled_and_recorded_once(site: Database, tmp_path: Path) -> None:
    told = Recorded()
    record, lines = await run(importing(site, acted=told), *write_staff(tmp_path, 5))
    assert (record.state, record.total, record.done) == (ImportState.DONE, 5, 5)
    assert states(lines) == ["created"] * 5
    assert [line.line for line in lines] == [2, 3, 4, 5, 6]
    assert await rows(site) == {"people": 5, "consents": 5, "templates": 5, "person_profiles": 5}
    assert [told.of(a) for a in ("person.create", "consent.give", "templates.enrol")] == [5, 5, 5]
    assert [told.of(a) for a in ("import.begin", "import.finish")] == [1, 1]


async def test_the_same_file_again_changes_nothing(site: Database, tmp_path: Path) -> None:
    files = write_staff(tmp_path, 4)
    await run(importing(site), *files)
    before, told = await versions(site), Recorded()
    _, lines = await run(importing(site, acted=told), *files)
    assert states(lines) == ["unchanged"] * 4
    assert await versions(site) == before
    assert {action for action, _, _ in told.actions} == {"import.begin", "import.finish"}


async def versions(database: Database) -> list[object]:
    async with database.connection() as db:
        return [
            await db.fetchval("SELECT version FROM roster_version"),
            await db.fetch("SELECT * FROM people ORDER BY number"),
            await db.fetch("SELECT * FROM templates ORDER BY template_id"),
        ]


async def test_a_dry_run_says_the_same_and_writes_nothing(site: Database, tmp_path: Path) -> None:
    staff, photos = write_staff(tmp_path, 3)
    (photos / "E2.jpg").write_bytes(b"a landscape")
    (photos / "E3.jpg").write_bytes(picture("E1", 2))
    before, told = await versions(site), Recorded()
    dry, rehearsed = await run(importing(site, acted=told), staff, photos, dry_run=True)
    assert states(rehearsed) == ["created", "no_face", "already_enrolled"]
    assert dry.dry_run
    assert await versions(site) == before
    assert {action for action, _, _ in told.actions} == {"import.begin", "import.finish"}
    _, real = await run(importing(site), staff, photos)
    assert states(real) == states(rehearsed)
    assert [line.message for line in real] == [line.message for line in rehearsed]


async def test_a_line_that_is_refused_leaves_nothing_of_its_person(site: Database, tmp_path: Path) -> None:
    staff, photos = write_staff(tmp_path, 2)
    (photos / "E2-2.jpg").write_bytes(picture("somebody else"))
    staff.write_text(staff.read_text() + "E3,Person 3,,,,\n" + "E4,Person 4,,2099-1,2026-01-31,paper\n")
    (photos / "E3.jpg").write_bytes(picture("E3"))
    _, lines = await run(importing(site), staff, photos)
    assert states(lines) == ["created", "photos_disagree", "no_consent", "no_such_consent_text"]
    assert await rows(site) == {"people": 1, "consents": 1, "templates": 1, "person_profiles": 1}


async def test_who_is_known_is_changed_and_enrolled_anew(site: Database, tmp_path: Path) -> None:
    staff, photos = write_staff(tmp_path, 3)
    await run(importing(site), staff, photos)
    (photos / "E2.jpg").write_bytes(picture("E2", 2))
    staff.write_text(
        f"{HEADER},status\nE1,Person 1,Sales,{AGREED},\nE2,Person 2,Works,{AGREED},\n"
        f"E3,Person 3,Works,{AGREED},suspended\n"
    )
    _, lines = await run(importing(site), staff, photos)
    assert states(lines) == ["changed", "enrolled", "changed"]
    assert await rows(site) == {"people": 3, "consents": 3, "templates": 3, "person_profiles": 3}


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_import_that_was_stopped_goes_on_where_it_was(
    site: Database, tmp_path: Path, dry_run: bool
) -> None:
    files, told = write_staff(tmp_path, 6), Recorded()
    with pytest.raises(KeyboardInterrupt):
        await run(importing(site, acted=told), *files, dry_run=dry_run, stop_after=3)
    check = MadeUpCheck()
    record, lines = await run(importing(site, acted=told, check=check), *files, dry_run=dry_run)
    assert check.checked == (6 if dry_run else 3)
    assert states(lines) == ["created"] * 6
    assert told.of("import.begin") == 1
    assert record.done == 6
    assert (await rows(site))["people"] == (0 if dry_run else 6)
    assert told.of("person.create") == (0 if dry_run else 6)


@dataclass
class Before:
    """A desk of people where something happens before a number is looked for."""

    staff: StaffDesk
    number: str
    happens: Callable[[], Awaitable[object]]

    async def find(self, query: Query) -> Page:
        if isinstance(query.where, Compare) and query.where.value == self.number:
            await self.happens()
        return await self.staff.find(query)

    def __getattr__(self, name: str) -> object:
        return getattr(self.staff, name)


def interrupted(made: Importing, number: str, happens: Callable[[], Awaitable[object]]) -> Importing:
    staff = Before(made.desks.staff, number, happens)
    return replace(made, desks=replace(made.desks, staff=staff))  # type: ignore[arg-type]


async def test_a_cancelled_import_stops_before_the_next_line(site: Database, tmp_path: Path) -> None:
    store = importing(site).store

    async def cancel() -> None:
        (running,) = await store.unfinished("(command)")
        await store.cancel(running.import_id)

    made = interrupted(importing(site), "E4", cancel)
    record, _ = await run(made, *write_staff(tmp_path, 6))
    assert record.state is ImportState.CANCELLED
    assert record.counts == {LineState.CREATED: 3}
    assert (await rows(site))["people"] == 3
    with pytest.raises(Rejected) as over:
        await store.cancel(record.import_id)
    assert over.value.code == "import_over"


async def test_only_one_import_runs_at_a_time(site: Database, tmp_path: Path) -> None:
    files = write_staff(tmp_path, 1)
    async with PostgresImports(site).only_one() as mine:
        assert mine
        with pytest.raises(Rejected) as refused:
            await run(importing(site), *files)
        assert refused.value.code == "import_running"
    record, _ = await run(importing(site), *files)
    assert record.state is ImportState.DONE


async def test_whoever_was_taken_for_dead_writes_nothing_more(site: Database, tmp_path: Path) -> None:
    made = importing(site)
    store = made.store
    with pytest.raises(KeyboardInterrupt):
        await run(made, *write_staff(tmp_path, 2), stop_after=1)
    (record,) = await store.unfinished("(command)")
    old, new = "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f11", "0b3c7f8e-45a2-4f0e-9a52-3f6f1c1f7f12"
    await store.start(record.import_id, old)
    await store.start(record.import_id, new)
    late = LineResult(line=9, number="E9", state=LineState.UNCHANGED)
    with pytest.raises(Rejected):
        await store.note(record.import_id, old, late)
    with pytest.raises(Rejected):
        async with store.person(record.import_id, old, keep=True):
            pass
    await store.finish(record.import_id, old, ImportState.FAILED, code="x", why="x")
    assert (await store.get(record.import_id)).state is ImportState.RUNNING
    await store.note(record.import_id, new, late)


async def test_what_cannot_be_recorded_is_not_imported(site: Database, tmp_path: Path) -> None:
    files = write_staff(tmp_path, 2)
    with pytest.raises(KeyboardInterrupt):
        await run(importing(site), *files, stop_after=1)
    with pytest.raises(JournalUnavailable):
        await run(importing(site, acted=Recorded(fails=JournalUnavailable("the disk is full"))), *files)
    assert (await rows(site))["people"] == 1
    record, lines = await run(importing(site), *files)
    assert (record.state, states(lines)) == (ImportState.DONE, ["created", "created"])


async def test_a_database_that_goes_away_is_waited_for(site: Database, tmp_path: Path) -> None:
    made = importing(site)
    made = replace(made, pauses_s=(0.0, 0.0))
    failures = [DatabaseUnavailable("away"), DatabaseUnavailable("away")]
    real = made.check

    class Shaky(MadeUpCheck):
        async def check(self, photo):
            if failures:
                raise failures.pop()
            return await real.check(photo)

    record, lines = await run(replace(made, check=Shaky()), *write_staff(tmp_path, 2))
    assert (record.state, states(lines)) == (ImportState.DONE, ["created", "created"])


async def test_a_face_that_left_meanwhile_stands_in_nobodys_way(site: Database, tmp_path: Path) -> None:
    """The copy in memory is older than a withdrawal: what it finds is asked for before it counts."""
    staff, photos = write_staff(tmp_path, 3)
    for number in ("E2", "E3"):
        (photos / f"{number}.jpg").write_bytes(picture("E1"))

    async def withdraw() -> None:
        async with site.connection() as db:
            await db.execute("UPDATE consents SET withdrawn_at = now()")

    _, lines = await run(interrupted(importing(site), "E3", withdraw), staff, photos)
    assert states(lines) == ["created", "already_enrolled", "created"]


async def test_who_comes_in_another_way_meanwhile_is_changed_not_doubled(
    site: Database, tmp_path: Path
) -> None:
    desk = importing(site).desks.staff

    async def add() -> None:
        await desk.create(HR, NewPerson(number="E2", name="Somebody"))

    staff, _ = write_staff(tmp_path, 3, photos=False)
    made, crossed = importing(site), []

    class Crossing(Before):
        async def find(self, query: Query) -> Page:
            page = await self.staff.find(query)
            if isinstance(query.where, Compare) and query.where.value == "E2" and not crossed:
                crossed.append(True)
                await self.happens()  # after our look
            return page

    made = replace(made, desks=replace(made.desks, staff=Crossing(made.desks.staff, "E2", add)))
    _, lines = await run(made, staff)
    assert states(lines) == ["created", "changed", "created"]
    assert (await rows(site))["people"] == 3


async def test_the_roster_is_not_read_anew_for_every_person(site: Database, tmp_path: Path) -> None:
    made = importing(site)
    reads: list[int] = []
    faces = made.faces

    def counted():
        known = faces()
        ask = known.feed.templates_after

        class Feed:
            async def templates_after(self, model, after, limit):
                page = await ask(model, after, limit)
                reads.append(len(page))
                return page

            async def has_template(self, template_id: int) -> bool:
                return True

        known.feed = Feed()
        return known

    await run(replace(made, faces=counted), *write_staff(tmp_path, 30))
    assert sum(reads) == 29  # each but the last is read once, right after it was written
    assert max(reads) == 1


async def test_reports_forget_who_was_erased_and_are_forgotten_themselves(
    site: Database, tmp_path: Path
) -> None:
    staff, photos = write_staff(tmp_path, 3)
    (photos / "E2.jpg").write_bytes(picture("E1"))
    made = importing(site)
    record, lines = await run(made, staff, photos)
    assert "as number E1;" in str(lines[1].message)
    async with site.connection() as db:
        await db.execute("DELETE FROM people WHERE number = 'E1'")
    left = await made.store.lines(record.import_id, 0, 10)
    assert [line.number for line in left] == ["E2", "E3"]
    assert "E1" not in str(left[0].message)
    assert await made.store.forget(timedelta(days=1)) == 0
    assert await made.store.forget(timedelta(0)) == 1
    async with site.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM import_lines") == 0
