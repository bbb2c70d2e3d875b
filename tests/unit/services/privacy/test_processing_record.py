"""The processing record says what this site does and holds, and nothing that it does not."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway import settings
from gateway.domain.holdings import SiteFigures
from gateway.services.privacy.processing_record import as_text, processing_record
from tests.fakes.privacy import site

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
NOTHING = SiteFigures(
    at=AT,
    people={},
    templates={},
    people_with_templates=0,
    photographs=0,
    oldest_photograph=None,
    cards=0,
    pins=0,
    consents_in_force=0,
    consents_ended=0,
    consents_by_text={},
    texts=[],
    events=0,
    oldest_event=None,
    receipts=0,
    accounts={},
    api_keys={},
    imports=0,
)
ALWAYS = {
    "Staff data",
    "Face recognition: templates",
    "Face recognition: looking at who stands at a door",
    "Record of accesses and of what operators do",
}


def activities(of: settings.Site, held: SiteFigures) -> dict:
    return {a.name: a for a in processing_record(of, held).activities}


def test_an_empty_site_speaks_of_nothing_that_is_not_there(tmp_path: Path):
    record = processing_record(site(tmp_path), NOTHING)
    assert {a.name for a in record.activities} == ALWAYS
    assert record.controller is None
    assert len(record.not_stated) == 7
    text = as_text(record)
    for absent in ("Kept photographs", "PIN", "API is served", "metrics", "import", "Receipts", "days"):
        assert absent not in text, absent


def test_every_rule_of_the_site_file_is_said_with_its_number(tmp_path: Path):
    of = site(
        tmp_path,
        "[privacy]\nconsent_valid_days = 731\nerase_left_after_days = 31\nunused_template_days = 91\n"
        "photographs_days = 61\nreceipts_days = 3651\ncontroller = 'Example Ltd'\ncontact = 'us'\n"
        "data_protection_officer = 'Ms D'\npurpose = 'who enters'\nlegal_basis = 'art. 6(1)(f)'\n"
        "recipients = ['a guard company']\ntransfers = 'none'\n"
        "[enrolment]\nkeep_photographs = true\n[api]\nport = 8444\n[metrics]\nport = 9000\n",
    )
    record = processing_record(of, replace(NOTHING, receipts=1))
    assert record.not_stated == []
    text = as_text(record)
    for said in (
        "731 days", "31 days after", "91 days", "61 days", "3651 days", "Example Ltd", "Ms D", "who enters",
        "art. 6(1)(f)", "a guard company", "127.0.0.1:8444, without TLS", "127.0.0.1:9000",
    ):  # fmt: skip
        assert said in text, said
    assert "not stated" not in text


def test_every_number_is_the_databases(tmp_path: Path):
    held = replace(
        NOTHING, people={"active": 11, "left": 12}, templates={"sface:1": 13}, people_with_templates=14,
        photographs=15, cards=16, pins=17, consents_in_force=18, consents_ended=19,
        consents_by_text={"": 20, "v1": 21}, events=22, oldest_event=AT, receipts=23, accounts={"hr": 24},
        api_keys={"operator": 25}, imports=26,
    )  # fmt: skip
    record = processing_record(site(tmp_path), held)
    numbers = [n for a in record.activities for n in a.numbers.values()]
    assert set(range(11, 25)) | {26} <= {*numbers}
    assert {*numbers} - set(range(11, 27)) == {1}, "one camera, one access point"
    assert record.access == {"accounts with the role hr": 24, "API keys with the role operator": 25}
    assert "2026-03-01" in as_text(record)


def test_photographs_that_policy_no_longer_keeps_are_still_reported(tmp_path: Path):
    kept = activities(site(tmp_path), replace(NOTHING, photographs=3))["Kept photographs"].kept
    assert any("keep_photographs is off" in line for line in kept)


def test_a_door_without_liveness_is_said(tmp_path: Path):
    of = site(tmp_path)
    off = msgspec.structs.replace(
        of, access_points=tuple(msgspec.structs.replace(p, liveness="off") for p in of.access_points)
    )
    said = processing_record(off, NOTHING).safeguards
    assert "NO liveness check at: Lobby" in said
    assert not any(line.startswith("a liveness check") for line in said)


def test_the_sealed_copy_on_this_gateways_disk_is_said_unless_none_is_kept(tmp_path: Path):
    said = activities(site(tmp_path), NOTHING)
    with_copy = [name for name, a in said.items() if any("roster.sealed" in place for place in a.where)]
    assert with_copy == ["Staff data", "Face recognition: templates"]
    none = site(tmp_path, "[roster]\nmax_age_hours = 0\n")
    assert "roster.sealed" not in as_text(processing_record(none, NOTHING))
