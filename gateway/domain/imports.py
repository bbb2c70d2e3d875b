"""Many people at once: what a line of a staff file says, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from gateway.domain.consent import How
from gateway.domain.people import PersonStatus
from gateway.domain.staff import TEXTS

PERSON_COLUMNS = (*TEXTS, "extended", "status", "profiles")
CONSENT_COLUMNS = ("consent_version", "consent_given_on", "consent_how")
COLUMNS = (*PERSON_COLUMNS, "photos", *CONSENT_COLUMNS)
"""Every column a staff file may have, in the order in which an export writes them."""
SEPARATOR = "|"
"""Between profiles, and between photographs, in one cell."""

MOST_CSV_BYTES = 64_000_000
MOST_LINES = 50_000
MOST_LINE_CHARS = 65_536
"""Of one line with all its cells: a longer one is an open quotation mark, or no staff file."""
MOST_PHOTOS = 10
"""Of one person."""
REPORTS_KEPT = timedelta(days=90)
"""They hold numbers of people: long enough to settle what was refused, no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentNote:
    """A consent as a staff file states it."""

    version: str
    """Of the text consented to."""
    given_on: date
    how: How


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a line: a code for programs, a sentence for people (never a name)."""

    code: str
    message: str


Value = str | bool | PersonStatus | frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffLine:
    """One line of a staff file. A column that the file lacks is not in ``values``: it is left as it is."""

    line: int
    """As a spreadsheet counts rows; the column names are row 1."""
    number: str
    values: Mapping[str, Value] = field(default_factory=dict)
    photos: tuple[str, ...] = ()
    """File names; none: those that bear the number."""
    consent: ConsentNote | None = None
    faults: tuple[Fault, ...] = ()


class LineState(StrEnum):
    """What became of a line."""

    CREATED = "created"
    CHANGED = "changed"
    ENROLLED = "enrolled"
    """Somebody known before has new templates (other fields may have changed as well)."""
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """A line of the report."""

    line: int
    number: str
    state: LineState
    code: str | None = None
    message: str | None = None


class ImportState(StrEnum):
    """Where an import stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImport:
    """An import about to be registered."""

    import_id: str
    created_by: str
    address: str
    gateway_id: str
    """Whose disk holds what was given; ``command`` where it stays in the operator's own files."""
    dry_run: bool
    total: int
    """Lines in the file."""
    notes: Sequence[str] = ()
    digest: bytes
    """SHA-256 of what was given: the same command again goes on where it was stopped."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Sealed files by name, and the wrapped key of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """An import and how far it is."""

    import_id: str
    created_by: str
    address: str
    gateway_id: str
    dry_run: bool
    state: ImportState
    total: int
    counts: Mapping[LineState, int]
    notes: Sequence[str]
    """What is worth knowing about the files as a whole."""
    code: str | None
    why: str | None
    """Why it failed."""
    digest: bytes
    files: Mapping[str, bytes]
    created_at: datetime
    finished_at: datetime | None

    @property
    def done(self) -> int:
        """Lines dealt with."""
        return sum(self.counts.values())

    @property
    def over(self) -> bool:
        """Nothing more will happen."""
        return self.state not in {ImportState.WAITING, ImportState.RUNNING}
