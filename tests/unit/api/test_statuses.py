"""A problem's status follows from its code alone: else the description would say another one."""

import ast
from pathlib import Path

import pytest

from gateway.api.statuses import status_of_code
from gateway.domain import errors

ROOT = Path(__file__).parents[3] / "gateway"
BY_FAMILY = {"Rejected": 409, "Unavailable": 503, "EnrolmentRefused": 422}
COMMANDS_ONLY = {
    "duplicate_event",
    "gateways_lack_the_key",
    "journal_in_use",
    "journal_of_another_gateway",
    "key_file_changed",
    "key_in_use",
    "roster_not_kept",
    "rotation_under_way",
}
"""Raised where no request leads."""


def raised() -> list[tuple[str, str, str]]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_FAMILY:
                codes = [
                    k.value.value
                    for k in node.keywords
                    if k.arg == "code" and isinstance(k.value, ast.Constant)
                ]
                found += [(path.name, node.func.id, str(code)) for code in codes]
    return found


def test_there_is_something_to_check():
    assert len(raised()) > 20


@pytest.mark.parametrize(("where", "family", "code"), raised())
def test_whoever_raises_it_a_code_has_one_status(where: str, family: str, code: str):
    assert code in COMMANDS_ONLY or status_of_code(code) is not None, f"{where}: add {code} to statuses.py"


def test_the_families_themselves_are_known():
    for family in (errors.JournalUnavailable, errors.DatabaseUnavailable, errors.CameraUnavailable):
        assert status_of_code(family.code) == 503
