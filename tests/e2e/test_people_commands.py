"""``facegate people`` as HR's administrator types it, with real faces."""

import asyncio
import csv
import io
import zipfile
from pathlib import Path

import pytest

from gateway import foundation, settings
from gateway.rehearsal.portraits import Portrait
from tests.e2e.test_commands import facegate, site

AGREED = "2026-1,2026-01-31,paper"
HEADER = "number,name,department,photos,consent_version,consent_given_on,consent_how"


async def add_consent_text(config: Path) -> None:
    stores = foundation.stores(settings.load(config))
    try:
        await asyncio.to_thread(foundation.state_folder, stores.site)
        await stores.prepare()
        async with stores.database.connection() as db:
            await db.execute("INSERT INTO consent_texts VALUES ('2026-1', 'en', 'I agree', now())")
    finally:
        await stores.close()


@pytest.mark.models
def test_people_are_imported_exported_and_imported_again(state: Path, collins: Portrait, hopper: Portrait):
    config = site(state)
    config.write_text(config.read_text() + "[enrolment]\nkeep_photographs = true\n")
    asyncio.run(add_consent_text(config))
    photos, staff, report = state / "PHOTOS", state / "staff.csv", state / "report.csv"
    photos.mkdir()
    (photos / "E1.png").write_bytes(collins.png())
    (photos / "boss.png").write_bytes(hopper.png())
    (photos / "E3.png").write_bytes(collins.png())
    staff.write_text(
        f"{HEADER}\nE1,Ada,=1+1,,{AGREED}\nE2,Eve,,boss.png,{AGREED}\nE3,Eve,,,{AGREED}\nE4,Kim,,,,,\n"
    )
    words = ("people", "import", str(staff), str(photos), "--config", str(config))

    dry = facegate(*words, "--dry-run", expect=1).stdout
    assert "dry run (nothing was written) done: 3 created" in dry
    real = facegate(*words, "--report", str(report), expect=1)
    assert "import done: 3 created" in real.stdout
    assert "Eve" not in real.stdout + real.stderr
    said = [(r["line"], r["state"], r["code"]) for r in csv.DictReader(io.StringIO(report.read_text()))]
    assert said == [
        ("2", "created", ""),
        ("3", "created", ""),
        ("4", "refused", "already_enrolled"),
        ("5", "created", ""),
    ]

    for name, options in (("all.csv", ()), ("all.zip", ()), ("faces.zip", ("--photographs",))):
        out = state / name
        facegate("people", "export", str(out), "--config", str(config), *options)
        assert out.stat().st_mode & 0o777 == 0o600
        again = facegate("people", "import", str(out), "--config", str(config)).stdout
        assert "3 unchanged, 0 refused" in again
    assert '"\'=1+1"' in (state / "all.csv").read_text("utf-8-sig")
    assert len(zipfile.ZipFile(state / "faces.zip").namelist()) == 3
    assert zipfile.ZipFile(state / "all.zip").namelist() == ["staff.csv"]


def test_a_file_that_is_none_is_one_clear_line(state: Path):
    config, bad = site(state), state / "staff.csv"
    bad.write_text("number,naam\n1,Ada\n")
    said = facegate("people", "import", str(bad), "--config", str(config), expect=2).stderr
    assert "'naam'" in said
    assert "csv_unknown_column" in said
    assert "Traceback" not in said
    wrong = facegate("people", "export", str(state / "x.txt"), "--config", str(config), expect=2).stderr
    assert ".csv or .zip" in wrong
