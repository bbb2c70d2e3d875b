"""Questions about people as SQL. Field names come from a fixed table, values only ever as parameters."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from gateway.domain.errors import InvalidInput
from gateway.domain.query import Both, Compare, Either, Not, Op, Query, Value, Where

_MOST_NODES = 200

_TEXT = {
    "number": "p.number",
    "name": "p.name",
    "given_name": "p.given_name",
    "family_name": "p.family_name",
    "user_name": "p.user_name",
    "email": "p.email",
    "department": "p.department",
    "title": "p.title",
    "external_id": "p.external_id",
    "status": "p.status",
}
_TIMES = {"created_at": "p.created_at", "updated_at": "p.updated_at"}
_FLAGS = {
    "extended": "p.extended",
    "enrolled": "EXISTS (SELECT 1 FROM templates t WHERE t.person_id = p.person_id)",
    "consented": "consent_in_force(p.person_id)",
}
_HOLDS = "EXISTS (SELECT 1 FROM person_profiles h WHERE h.person_id = p.person_id AND {})"
_ORDER = {Op.EQ: "=", Op.NE: "<>", Op.GT: ">", Op.GE: ">=", Op.LT: "<", Op.LE: "<="}
_LIKE: dict[Op, Callable[[str], str]] = {
    Op.CONTAINS: lambda text: f"%{text}%",
    Op.STARTS: lambda text: f"{text}%",
    Op.ENDS: lambda text: f"%{text}",
}


@dataclass(slots=True)
class Condition:
    """A WHERE clause as it grows, with its parameters."""

    values: list[object] = field(default_factory=list)
    _nodes: int = 0

    def given(self, value: object) -> str:
        """The place of a parameter."""
        self.values.append(value)
        return f"${len(self.values)}"

    def of(self, where: Where) -> str:
        """SQL that is never NULL. Raises InvalidInput (code "bad_filter")."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise InvalidInput(
                f"the filter has more than {_MOST_NODES} parts; ask less at once", code="bad_filter"
            )
        match where:
            case Both(parts):
                return "(" + " AND ".join(self.of(p) for p in parts) + ")" if parts else "true"
            case Either(parts):
                return "(" + " OR ".join(self.of(p) for p in parts) + ")" if parts else "false"
            case Not(part):
                return f"(NOT {self.of(part)})"
            case Compare():
                return f"coalesce({self._compare(where)}, false)"

    def _compare(self, where: Compare) -> str:
        name = where.field
        if isinstance(where.value, str) and "\x00" in where.value:  # no stored text holds one
            return "true" if where.op is Op.NE else "false"
        if name in _TEXT:
            return self._text(_TEXT[name], where)
        if name == "person_id":
            return self._person(where)
        if name == "profile":
            return self._profile(where)
        if name in {*_TIMES, *_FLAGS}:
            return self._typed(where)
        raise InvalidInput(f"people cannot be filtered by {name[:40]!r}", code="bad_filter")

    def _typed(self, where: Compare) -> str:
        name, op, value = where.field, where.op, where.value
        if op is Op.PRESENT:
            return "true"
        if name in _TIMES and isinstance(value, datetime) and op in _ORDER:
            return f"{_TIMES[name]} {_ORDER[op]} {self.given(value)}"
        if name in _FLAGS and isinstance(value, bool) and op in {Op.EQ, Op.NE}:
            return f"{_FLAGS[name]} = {self.given(value is (op is Op.EQ))}"
        raise InvalidInput(f"{name} cannot be compared by {op.value} with this value", code="bad_filter")

    def _text(self, column: str, where: Compare) -> str:
        if where.op is Op.PRESENT:
            return f"{column} IS NOT NULL"
        if where.value is None and where.op in {Op.EQ, Op.NE}:
            return f"{column} IS {'NOT ' if where.op is Op.NE else ''}NULL"
        if not isinstance(where.value, str):
            raise InvalidInput(f"{where.field} is text: compare it with text", code="bad_filter")
        if where.op in _LIKE:
            escaped = where.value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            return f"lower({column}) LIKE lower({self.given(_LIKE[where.op](escaped))})"
        compared = f"lower({column}) {_ORDER[where.op]} lower({self.given(where.value)})"
        return f"({column} IS NULL OR {compared})" if where.op is Op.NE else compared

    def _person(self, where: Compare) -> str:
        if where.op is Op.PRESENT:
            return "true"
        if where.op not in {Op.EQ, Op.NE} or not isinstance(where.value, str):
            raise InvalidInput("a person's id is compared whole", code="bad_filter")
        try:
            who = UUID(where.value)
        except ValueError:
            return "true" if where.op is Op.NE else "false"
        return f"p.person_id {_ORDER[where.op]} {self.given(who)}"

    def _profile(self, where: Compare) -> str:
        if where.op is Op.PRESENT:
            return _HOLDS.format("true")
        if where.op not in {Op.EQ, Op.NE} or not isinstance(where.value, str):
            raise InvalidInput("a profile is compared whole", code="bad_filter")
        held = _HOLDS.format(f"h.profile = {self.given(where.value)}")
        return held if where.op is Op.EQ else f"NOT {held}"


def ordered(query: Query, condition: Condition) -> tuple[str, str, str]:
    """What is sorted by, a further condition that leaves out what was seen, and ORDER BY.

    Raises InvalidInput (code "bad_sort", "no_such_page").
    """
    column = _sort_column(query.sort)
    way, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
    order = f"{column} {way}, p.person_id {way}"
    if query.after is None:
        return column, "true", order
    value, who = query.after
    try:
        last = condition.given(UUID(who))
    except ValueError:
        raise _foreign_cursor() from None
    place = condition.given(_checked(query.sort, value))
    return column, f"({column}, p.person_id) {beyond} ({place}, {last})", order


def _sort_column(name: str) -> str:
    if name in _TEXT:
        return f"coalesce(lower({_TEXT[name]}), '')"
    if name in _TIMES:
        return _TIMES[name]
    if name in _FLAGS:
        return f"({_FLAGS[name]})"
    if name == "person_id":
        return "p.person_id::text"
    raise InvalidInput(f"people cannot be sorted by {name[:40]!r}", code="bad_sort")


def _checked(name: str, value: Value) -> Value:
    wanted = datetime if name in _TIMES else bool if name in _FLAGS else str
    if not isinstance(value, wanted):
        raise _foreign_cursor()
    return value


def _foreign_cursor() -> InvalidInput:
    return InvalidInput("the cursor is not one of ours, or of another order", code="no_such_page")
