"""PATCH (RFC 7644 section 3.5.2), with what Entra ID and Okta send beyond it.

scim2-models applies the operations, all or none. What providers do otherwise, and where it is described:

* Entra ID writes ``op`` in capitals, booleans as ``"True"`` and ``"False"``, dotted names and paths with a
  filter as keys of a value without a path, the members to remove as a value, and adds to ``emails[type eq
  "work"].value`` where there is no such address (learn.microsoft.com/entra/identity/app-provisioning:
  "use-scim-to-provision-users-and-groups" and
  "application-provisioning-config-problem-scim-compatibility").
* Okta sends ``{"op": "replace", "value": {"active": false}}`` to deactivate, and the id beside a group's
  new name (developer.okta.com/docs/api/openapi/okta-scim/guides/scim-20).

Attributes of RFC 7643 that are not kept here (telephone numbers, addresses, the manager …) are left out
without a word, as providers send them for everybody; a path that no schema knows is refused.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    InvalidPathException,
    InvalidSyntaxException,
    InvalidValueException,
    PatchOp,
    Path,
    SCIMException,
    ScimPolicy,
)
from scim2_models import EnterpriseUser as WholeEnterpriseUser
from scim2_models import Group as WholeGroup
from scim2_models import User as WholeUser

from gateway.api.scim.filters import primary_is_work
from gateway.api.scim.resources import Group, Person

TOLERANT = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
_MOST_OPERATIONS = 1000
_WHOLE: dict[Any, Any] = {Person: WholeUser[WholeEnterpriseUser], Group: WholeGroup}
"""What RFC 7643 knows beside what is kept here."""


def patched(resource: Any, body: Any) -> Any:
    """A copy of a resource after the operations of a body.

    Raises SCIMException (invalidSyntax, invalidPath, invalidValue, mutability, noTarget) or ValidationError.
    """
    kind = type(resource)
    message = {**_envelope(body), "Operations": list(_operations(kind, body))}
    after = resource.model_copy(deep=True)
    if not message["Operations"]:
        return after
    told: Any = PatchOp[kind].model_validate(  # type: ignore[valid-type]
        message, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=TOLERANT
    )
    try:
        told.patch(after, scim_policy=TOLERANT)
    except SCIMException as error:
        if isinstance(error.__cause__, ValidationError):
            raise InvalidValueException(
                detail=Error.from_validation_errors(error.__cause__)[0].detail
            ) from None
        raise
    return after


def _envelope(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidSyntaxException(detail="the body of a PATCH is an object")
    return {"schemas": next((v for k, v in body.items() if k.lower() == "schemas"), [])}


def _operations(kind: Any, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    given = next((v for k, v in body.items() if k.lower() == "operations"), None)
    if not isinstance(given, list) or not given:
        raise InvalidValueException(detail="Operations: one or more are needed")
    if len(given) > _MOST_OPERATIONS:
        raise InvalidValueException(detail=f"Operations: more than {_MOST_OPERATIONS}; send less at once")
    for operation in given:
        if not isinstance(operation, dict):
            raise InvalidSyntaxException(detail="Operations: each is an object")
        yield from _plain(kind, {k.lower(): v for k, v in operation.items()})


def _plain(kind: Any, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An operation as RFC 7644 has it: a key that is a path with a filter becomes an operation of its own."""
    path, value = operation.get("path"), operation.get("value")
    if path is None and isinstance(value, dict):
        filters = {key: item for key, item in value.items() if "[" in key}
        rest = {key: item for key, item in value.items() if key not in filters}
        if rest or not filters:
            yield {**operation, "value": rest}
        for key, item in filters.items():
            yield from _plain(kind, {**operation, "path": key, "value": item})
        return
    if not isinstance(path, str) or not path:
        yield {k: v for k, v in operation.items() if k != "path" or v}
        return
    path = primary_is_work(path)
    if _is_kept(kind, path):
        yield {**operation, "path": path}


def _is_kept(kind: Any, path: str) -> bool:
    """Whether there is such an attribute here. Raises InvalidPathException when there is none anywhere."""
    choices: tuple[tuple[Any, bool], ...] = ((kind, True), (_WHOLE[kind], False))
    for model, kept in choices:
        try:
            bound: Any = Path.__class_getitem__(model)(path)
        except InvalidPathException:
            if not kept:
                raise
            continue
        if bound.model is not None or bound.resolve() is not None:
            return kept
    raise InvalidPathException(path=path, detail=f"no schema has the attribute {path[:100]!r}")
