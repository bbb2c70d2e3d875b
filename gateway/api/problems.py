"""Errors as the API says them: RFC 9457 problem details with a stable ``code``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.api.statuses import TITLES, status_of_code
from gateway.domain.errors import EnrolmentRefused, GatewayError, InvalidInput, Rejected, Unavailable
from gateway.services.enrolment import PhotographsRefused

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:facegate:problem:"
RETRY_AFTER_S = 2


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, and where."""

    pointer: str
    """RFC 6901, into the body; ``query/NAME`` or ``header/NAME`` for the others."""
    detail: str
    code: str = ""
    """Where a thing by itself has one, such as the third photograph of five."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str = ""
    errors: Sequence[Fault] = ()


@dataclass(slots=True)
class Refusal(GatewayError):
    """What the frame itself refuses, before any use case is asked."""

    message: str
    code: str = "bad_request"
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.message


def status_of(error: GatewayError) -> int:
    """The HTTP status of an error, by its code first and its family then."""
    by_code = status_of_code(error.code)
    if by_code is not None:
        return by_code
    if isinstance(error, EnrolmentRefused):
        return 422
    for family, status in ((Refusal, 400), (InvalidInput, 400), (Rejected, 409), (Unavailable, 503)):
        if isinstance(error, family):
            return status
    return 500


def problem_of(error: GatewayError, request_id: str) -> Problem:
    """What the caller is told. What went wrong inside is in the log, under the request's id."""
    status = status_of(error)
    own = "the gateway failed; its log has the details under this request id"
    return Problem(
        type=_TYPE + error.code,
        title=TITLES.get(status, "Error"),
        status=status,
        code=error.code,
        detail=own if status == 500 else sayable(str(error)),
        request_id=request_id,
        errors=_faults(error),
    )


def _faults(error: GatewayError) -> Sequence[Fault]:
    if isinstance(error, PhotographsRefused):
        return [
            Fault(pointer=f"/{i}", detail=reason.message, code=reason.code)
            for i, one in enumerate(error.judged)
            for reason in one.reasons
        ]
    faults = error.faults if isinstance(error, Refusal) else ()
    return [msgspec.structs.replace(f, pointer=sayable(f.pointer), detail=sayable(f.detail)) for f in faults]


def sayable(text: str) -> str:
    """As it is, but for bytes of a header or path that were no text: UTF-8 has no place for them."""
    return text.encode("utf-8", "backslashreplace").decode()
