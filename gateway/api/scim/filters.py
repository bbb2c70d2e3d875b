"""Filters and orders of RFC 7644 sections 3.4.2.2 and 3.4.2.3 as questions about people.

scim2-models parses the grammar and knows the attributes; here they become ``domain.query``, which the
database answers. What no person differs in (``emails.type``, ``meta.resourceType``, ``schemas``) is decided
at once, and a condition on groups becomes one on the access profiles that satisfy it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scim2_models import InvalidFilterException, InvalidPathException, Meta, Path, ScimFilter
from scim2_models.path import (
    AttributeBinding,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Present,
    ValuePath,
)
from scim2_models.path import Not as NotNode
from scim2_models.path.resolution import coerce_value

from gateway.api.scim.resources import Email, Membership, Person
from gateway.domain.people import PersonStatus
from gateway.domain.query import Both, Compare, Either, Not, Op, Value, Where

LONGEST = 4000
"""Characters of a filter. How deep one may nest is bounded by scim2-models (32)."""

TRUE, FALSE = Both(()), Either(())

_FIELDS: Mapping[tuple[str, str | None], str] = {
    ("id", None): "person_id",
    ("external_id", None): "external_id",
    ("user_name", None): "user_name",
    ("display_name", None): "name",
    ("name", "formatted"): "name",
    ("name", "given_name"): "given_name",
    ("name", "family_name"): "family_name",
    ("title", None): "title",
    ("active", None): "status",
    ("emails", "value"): "email",
    ("emails", None): "email",
    ("employee_number", None): "number",
    ("department", None): "department",
    ("meta", "created"): "created_at",
    ("meta", "last_modified"): "updated_at",
}
_SAME = {("emails", "type"), ("meta", "resource_type"), ("schemas", None)}
"""What no two people differ in."""

_PRIMARY = re.compile(r"\[\s*primary\s+eq\s+\"?true\"?\s*\]", re.IGNORECASE)


def primary_is_work(expression: str) -> str:
    """``emails[primary eq true]`` is the one address there is, as ``emails[type eq "work"]`` is."""
    return _PRIMARY.sub('[type eq "work"]', expression)


def checked(expression: str) -> str:
    """A filter that is worth parsing. Raises InvalidFilterException."""
    if len(expression) > LONGEST:
        raise InvalidFilterException(
            detail=f"the filter has more than {LONGEST} characters; ask less at once"
        )
    return primary_is_work(expression)


def where_of(expression: str, groups: Mapping[str, str], *, lenient: bool = False) -> Where:
    """The condition that a filter of Users stands for.

    ``groups`` are the keys of the access profiles by their id. ``lenient``: what a User does not have is
    false, for a search over Users and Groups. Raises InvalidFilterException.
    """
    bound: Any = ScimFilter[Person](checked(expression))
    return _Compiler(groups, lenient=lenient).visit(bound.ast)


def sort_of(path: Any, *, lenient: bool = False) -> str:
    """The field that a ``sortBy`` orders by. Raises InvalidPathException unless ``lenient``."""
    binding = Path[Person](str(path)).resolve()
    field = _FIELDS.get((binding.field_name, binding.sub_field_name)) if binding is not None else None
    if field is None and lenient:
        return "name"
    if field is None:
        raise InvalidPathException(path=str(path), detail=f"people cannot be sorted by {str(path)[:100]!r}")
    return field


@dataclass
class _Compiler(FilterVisitor[Where]):
    groups: Mapping[str, str]
    lenient: bool

    def visit_not(self, node: NotNode) -> Where:
        return Not(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Where:
        parts = [self.visit(term) for term in node.terms]
        return Both(parts) if node.op is LogicalOperator.and_ else Either(parts)

    def visit_present(self, node: Present) -> Where:
        binding = self._bound(node, comparison=False)
        if binding is None:
            return FALSE
        place = (binding.field_name, binding.sub_field_name)
        if place == ("name", None):
            return Either([Compare("given_name", Op.PRESENT), Compare("family_name", Op.PRESENT)])
        if place[0] == "groups":
            return Compare("profile", Op.PRESENT)
        if place[0] == "emails":
            return Compare("email", Op.PRESENT)
        field = _FIELDS.get(place)
        return TRUE if field is None or place == ("user_name", None) else Compare(field, Op.PRESENT)

    def visit_comparison(self, node: Comparison) -> Where:
        binding = self._bound(node, comparison=True)
        if binding is None:
            return FALSE
        place = (binding.field_name, binding.sub_field_name)
        if place[0] == "groups":
            return self._in_groups(node)
        if place in _SAME:
            met = TRUE if _meets(node, _SOMEBODY) else FALSE
            return Both([Compare("email", Op.PRESENT), met]) if place[0] == "emails" else met
        if place not in _FIELDS:
            raise _refused(f"people cannot be filtered by {node.attr_path}")
        return _compared(_FIELDS[place], Op(node.op.value), coerce_value(binding, node.value, node.op))

    def visit_value_path(self, node: ValuePath) -> Where:
        binding = self._bound(node, comparison=False)
        if binding is None:
            return FALSE
        if binding.field_name == "groups":
            return self._in_groups(node)
        if binding.field_name != "emails":
            raise _refused(f"{node.attr_path} has no values to choose from")
        return Both([Compare("email", Op.PRESENT), _Address().visit(node.val_filter)])

    def _bound(self, node: Present | Comparison | ValuePath, *, comparison: bool) -> AttributeBinding | None:
        known: Any = ScimFilter[Person](node)
        resolve = known.resolve_comparison if comparison else known.resolve
        found: AttributeBinding | None = resolve(node.attr_path, strict=not self.lenient)
        return found

    def _in_groups(self, node: FilterNode) -> Where:
        """Membership of those groups that satisfy it."""
        return Either(
            [
                Compare("profile", Op.EQ, key)
                for group, key in self.groups.items()
                if _meets(node, Person(groups=[Membership(value=group)]))
            ]
        )


class _Address(FilterVisitor[Where]):
    """What stands in the brackets of ``emails[...]``, about the one address of a person who has one."""

    def visit_not(self, node: NotNode) -> Where:
        return Not(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Where:
        parts = [self.visit(term) for term in node.terms]
        return Both(parts) if node.op is LogicalOperator.and_ else Either(parts)

    def visit_present(self, node: Present) -> Where:
        return self._of(node, TRUE)

    def visit_comparison(self, node: Comparison) -> Where:
        op = Op(node.op.value)
        return self._of(node, lambda: _compared("email", op, node.value))

    def visit_value_path(self, node: ValuePath) -> Where:
        raise _refused(f"{node.attr_path} has no values to choose from")

    def _of(self, node: Present | Comparison, value: Any) -> Where:
        binding = Path[Person](f"emails.{node.attr_path}").resolve()
        if binding is None:
            raise _refused(f"an e-mail address has no {str(node.attr_path)[:100]!r}")
        if binding.sub_field_name == "value":
            made: Where = value() if callable(value) else value
            return made
        same: Any = ValuePath(attr_path=_EMAILS, val_filter=node)
        return TRUE if _meets(same, _SOMEBODY) else FALSE


_SOMEBODY = Person(emails=[Email(value="", type="work")], meta=Meta(resource_type="User"))
_EMAILS = ScimFilter("emails pr").ast.attr_path  # type: ignore[attr-defined]


def _meets(node: FilterNode, somebody: Any) -> bool:
    bound: Any = ScimFilter[Person](node)
    return bool(bound.match(somebody))


def _compared(field: str, op: Op, value: Value) -> Where:
    if isinstance(value, str):
        _check_text(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    if field == "status":
        if not isinstance(value, bool) or op not in {Op.EQ, Op.NE}:
            raise _refused("active is compared by eq or ne with true or false")
        return Compare("status", op, PersonStatus.ACTIVE if value else PersonStatus.SUSPENDED)
    if field == "user_name":  # the staff number stands in for a userName that there is not
        has = Compare("user_name", Op.PRESENT)
        return Either(
            [Both([has, Compare("user_name", op, value)]), Both([Not(has), Compare("number", op, value)])]
        )
    return Compare(field, op, value)


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused("the filter holds half of a surrogate pair") from None


def _refused(why: str) -> InvalidFilterException:
    return InvalidFilterException(detail=why)
