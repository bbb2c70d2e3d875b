"""Staff files: whatever the bytes are, a clear refusal or exactly what was meant."""

import csv
import io
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.consent import How
from gateway.domain.errors import InvalidInput
from gateway.domain.imports import COLUMNS, MOST_LINES, ConsentNote, StaffLine
from gateway.domain.people import PersonStatus
from gateway.services.imports import csv_lines, staff_lines
from gateway.services.imports.cells import harmless, plain
from gateway.services.imports.exporting import _line

STARTS = "=+-@\t\r\n'＝＋－＠"  # noqa: RUF001


def lines(text: str | bytes) -> list[StaffLine]:
    file = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return list(staff_lines.read(file, csv_lines.survey(file)))


def refusal(text: str | bytes) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        lines(text)
    return refused.value


def codes(line: StaffLine) -> set[str]:
    return {fault.code for fault in line.faults}


@given(st.binary(max_size=400))
@example(b"number\r")
@example(b'number,"')
@example(b"\xef\xbb\xbf")
@example(b"number\n\x00")
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes):
    try:
        lines(data)
    except InvalidInput:
        return


@given(st.binary(max_size=200))
def test_any_bytes_under_good_column_names_are_lines_or_a_refusal(data: bytes):
    try:
        found = lines(b"number,name,photos,consent_given_on\n" + data)
    except InvalidInput:
        return
    assert all(line.line >= 2 for line in found)


@given(st.text() | st.text(STARTS))
def test_a_cell_made_harmless_means_the_same(text: str):
    assert plain(harmless(text)) == text


@given(st.text(STARTS, min_size=1))
def test_no_harmless_cell_is_a_formula(text: str):
    assert harmless(text)[0] not in STARTS.replace("'", "")


_any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    st.lists(_any_text, min_size=len(COLUMNS), max_size=len(COLUMNS)).filter(
        lambda r: any(c.strip() for c in r)
    )
)
def test_cells_of_any_text_come_back_as_they_were(row: list[str]):
    file = io.BytesIO(_line(COLUMNS, first=True) + _line(row))
    sheet = csv_lines.survey(file)
    assert list(csv_lines.rows(file, sheet)) == [(2, row)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "note"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("windows-1252", "windows-1252")],
)
def test_files_of_any_spreadsheet_are_read_and_it_is_said_how(
    separator: str, end: str, encoding: str, note: str
):
    text = end.join([f"Number{separator}Name", f"1{separator}Jürgen Groß", ""])
    file = io.BytesIO(text.encode(encoding))
    sheet = csv_lines.survey(file)
    assert note in sheet.note
    (line,) = staff_lines.read(file, sheet)
    assert (line.number, line.values) == ("1", {"name": "Jürgen Groß"})


def test_a_line_has_the_number_that_a_spreadsheet_shows():
    found = lines('number,name\n1,"two\nrows"\n\n,\n2,Ada\n')
    assert [line.line for line in found] == [2, 5]
    assert codes(found[0]) == {"bad_text"}


def test_everything_a_line_can_say():
    header = ",".join(COLUMNS)
    row = (
        "7,Ada Lovelace,Ada,Lovelace,ada,ada@example.org,R&D,Countess,x-7,yes,suspended,staff|night,"
        " a.jpg | b/c.png ,2026-1,2026-01-31,Paper"
    )
    (line,) = lines(f"{header}\n{row}\n")
    assert line == StaffLine(
        line=2,
        number="7",
        values={
            "name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "user_name": "ada",
            "email": "ada@example.org", "department": "R&D", "title": "Countess", "external_id": "x-7",
            "extended": True, "status": PersonStatus.SUSPENDED, "profiles": frozenset({"staff", "night"}),
        },
        photos=("a.jpg", "b/c.png"),
        consent=ConsentNote(version="2026-1", given_on=date(2026, 1, 31), how=How.PAPER),
    )  # fmt: skip


def test_what_a_file_does_not_have_is_left_as_it_is_and_an_empty_cell_is_emptied():
    (line,) = lines("number,department,title\n7,,x\n")
    assert line.values == {"department": None, "title": "x"}
    assert not line.faults


@pytest.mark.parametrize(
    ("columns", "cells", "expected"),
    [
        ("number,name", "7,", {"no_name"}),
        ("number,name", ",Ada", {"no_number"}),
        ("number,name", " 7,Ada", {"bad_text"}),
        ("number,name", f"{'7' * 65},Ada", {"bad_text"}),
        ("number,name", "7,A\x07da", {"bad_text"}),
        ("number,name", "7,Ada,more", {"wrong_cells"}),
        ("number,name", "7", {"wrong_cells"}),
        ("number,email", "7,ada", {"bad_email"}),
        ("number,status", "7,away", {"bad_status"}),
        ("number,extended", "7,perhaps", {"bad_extended"}),
        ("number,profiles", f"7,{'x' * 65}", {"no_such_profile"}),
        ("number,photos", "7,../a.jpg", {"bad_photo_name"}),
        ("number,photos", "7,/a.jpg", {"bad_photo_name"}),
        ("number,photos", "7,a.jpg|a.jpg", {"double_photo"}),
        ("number,photos", "7," + "|".join(f"{i}.jpg" for i in range(11)), {"too_many_photos"}),
        ("number,consent_version", "7,2026-1", {"consent_incomplete"}),
        ("number,consent_version,consent_given_on,consent_how", "7,1,31.1.2026,paper", {"bad_consent"}),
        ("number,consent_version,consent_given_on,consent_how", "7,1,2026-02-30,paper", {"bad_consent"}),
        ("number,consent_version,consent_given_on,consent_how", "7,1,2026-01-31,by word", {"bad_consent"}),
        ("number,name,email,status", ",,x,y", {"no_number", "no_name", "bad_email", "bad_status"}),
    ],
)
def test_all_faults_of_a_line_are_named_without_its_values(columns: str, cells: str, expected: set[str]):
    (line,) = lines(f"{columns}\n{cells}\n")
    assert codes(line) == expected
    for fault in line.faults:
        assert "Ada" not in fault.message
        assert fault.message


def test_whoever_is_in_the_file_twice_is_refused_the_second_time():
    found = lines("number,name,user_name,external_id\n1,A,ada,\n2,B,ADA,x\n1,C,c,x\n")
    assert [codes(line) for line in found] == [
        set(),
        {"double_user_name"},
        {"double_number", "double_external_id"},
    ]
    assert "row 2" in found[1].faults[0].message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "csv_no_header"),
        (b"\n\n\n", "csv_no_header"),
        (b"\xef\xbb\xbf", "csv_no_header"),
        (b"\nnumber,name\n1,Ada\n", "csv_no_header"),
        (b"number,name\n", "csv_empty"),
        (b"number,name\n\n,\n", "csv_empty"),
        (b"name\nAda\n", "csv_no_number"),
        (b"number,naam\n1,Ada\n", "csv_unknown_column"),
        (b"number|name\n1|Ada\n", "csv_unknown_column"),
        (b"number,,name\n1,,Ada\n", "csv_unknown_column"),
        (b"number,name,Name\n1,Ada,Ada\n", "csv_double_column"),
        (b'number,name\n1,"Ada\n', "csv_malformed"),
        (b'number,name\n1,"Ada" Lovelace\n', "csv_malformed"),
        (b'"number,name\n', "csv_malformed"),
        ("number,name\n1,Ädä\n".encode() + b"2,\xc4\n", "csv_encoding"),
        (b"number,name\n1,\x81\n", "csv_encoding"),
        ("number,name\n1,Ada\n".encode("utf-16"), "not_csv"),
        ("number,name\n1,Ada\n".encode("utf-16-be"), "csv_unknown_column"),
        (b"PK\x03\x04" + bytes(100), "not_csv"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "not_csv"),
        (b"%PDF-1.7\n", "not_csv"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not_csv"),
        (b"\x1f\x8b\x08" + bytes(100), "not_csv"),
        (bytes(1000), "csv_unknown_column"),
        (b"number,name\n1," + b"x" * 70_000 + b"\n", "csv_line_too_long"),
        (b"number,name\n1," + b"x" * 2_000_000 + b"\n", "csv_line_too_long"),
        (b'number,name\n1,"' + b"x\n" * 40_000, "csv_line_too_long"),
        (b"number,name\n" + b"1,x\n" * (MOST_LINES + 1), "csv_too_long"),
        (b"number,name\n" + b"\n" * 64_000_000, "csv_too_large"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_its_reason(data: bytes, code: str):
    refused = refusal(data)
    assert refused.code == code
    assert len(str(refused)) < 500


def test_unknown_columns_are_named_beside_the_known_ones():
    said = str(refusal("number,naam,dept\n1,Ada,x\n"))
    assert "'naam', 'dept'" in said
    assert "department" in said


def test_an_export_is_plain_text_for_every_spreadsheet():
    text = _line(["=1+1", "-5", "@x", "'t Hooft", "'=x", "a\rb"]).decode()
    assert next(csv.reader(io.StringIO(text, newline=""))) == [
        "'=1+1",
        "'-5",
        "'@x",
        "'t Hooft",
        "''=x",
        "a\rb",
    ]
