"""kill -9 in the middle of an import, again and again: everybody is there exactly once in the end."""

import random
import subprocess
import sys
from pathlib import Path

from gateway.storage.imports import PostgresImports
from gateway.storage.pool import Database
from tests.fakes.importing import add_consent_text, write_staff

PEOPLE = 60
_TRIES = 25


def start(url: str, staff: Path, photos: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.import_child", url, str(staff), str(photos)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def play(child: subprocess.Popen[str], lines: int | None) -> list[str]:
    """Read so many lines of what it says, then kill it; None: to its end."""
    said = []
    assert child.stdout is not None
    for text in child.stdout:
        said.append(text.strip())
        if lines is not None and len(said) > lines:
            child.kill()
            break
    child.wait()
    child.stdout.close()
    return said


async def test_a_killed_import_goes_on_and_everybody_is_there_once(database: Database, tmp_path: Path):
    await add_consent_text(database)
    staff, photos = write_staff(tmp_path, PEOPLE)
    url, chance, kills, said = await database.url(), random.Random(7), 0, [""]
    async with database.connection() as db:
        name = await db.fetchval("SELECT current_database()")
    assert name in url
    for _ in range(_TRIES):
        said = play(start(url, staff, photos), chance.randint(1, 12))
        if said[-1].startswith("end"):
            break
        kills += 1
    said = said if said[-1].startswith("end") else play(start(url, staff, photos), None)
    assert said[-1] == "end done"
    assert kills >= 5
    async with database.connection() as db:
        numbers = [r["number"] for r in await db.fetch("SELECT number FROM people")]
        counts = await db.fetch(
            "SELECT p.number, (SELECT count(*) FROM templates t WHERE t.person_id = p.person_id) AS t, "
            "(SELECT count(*) FROM consents c WHERE c.person_id = p.person_id) AS c FROM people p"
        )
        begun = await db.fetchval("SELECT count(*) FROM imports")
        lines = await db.fetch("SELECT line, state FROM import_lines ORDER BY line")
    assert sorted(numbers) == sorted(f"E{i}" for i in range(1, PEOPLE + 1))
    assert {(r["t"], r["c"]) for r in counts} == {(1, 1)}
    assert begun == 1
    assert [(r["line"], r["state"]) for r in lines] == [(i + 2, "created") for i in range(PEOPLE)]
    assert await PostgresImports(database).unfinished("(command)") == []
