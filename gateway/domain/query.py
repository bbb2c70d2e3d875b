"""Questions about people, whoever asks: the REST filters and SCIM's both become these."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Value = str | bool | int | datetime | None


class Op(StrEnum):
    """How a field compares with a value; text compares without regard to case."""

    EQ = "eq"
    NE = "ne"
    CONTAINS = "co"
    STARTS = "sw"
    ENDS = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    PRESENT = "pr"


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. ``field`` is a name of ``staff.FIELDS``."""

    field: str
    op: Op
    value: Value = None


@dataclass(frozen=True, slots=True)
class Both:
    """All of them; nothing in it is true."""

    parts: Sequence["Where"]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of them; nothing in it is false."""

    parts: Sequence["Where"]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: "Where"


Where = Compare | Both | Either | Not


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which people, in which order, and how many of them."""

    where: Where = Both(())
    sort: str = "name"
    """A name of ``staff.FIELDS``; ties go by person id."""
    descending: bool = False
    limit: int = 50
    after: tuple[Value, str] | None = None
    """The sort value and id of the last one already seen …"""
    offset: int = 0
    """… or how many to leave out, for SCIM's paging."""
