"""Cells that a spreadsheet would take for a formula (OWASP, "CSV Injection").

An apostrophe before such a cell makes it text for every common spreadsheet. Reading takes it away again:
``plain(harmless(text)) == text`` for every text, also for one that begins with apostrophes itself.
"""

import re

_STARTS = "=+\\-@\t\r\n＝＋－＠"  # noqa: RUF001  # full-width forms are formulas as well
_DANGEROUS = re.compile(f"'*[{_STARTS}]")
_MADE_HARMLESS = re.compile(f"'+[{_STARTS}]")


def harmless(text: str) -> str:
    """The cell to write for a text."""
    return "'" + text if _DANGEROUS.match(text) else text


def plain(cell: str) -> str:
    """The text that a cell stands for."""
    return cell[1:] if _MADE_HARMLESS.match(cell) else cell
