"""Errors as the API says them: RFC 9457 problem details with a stable ``code``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.domain.errors import EnrolmentRefused, GatewayError, InvalidInput, Rejected, Unavailable
from gateway.services.enrolment import PhotographsRefused

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:facegate:problem:"
RETRY_AFTER_S = 2

TITLES: Mapping[int, str] = {
    400: "The request is not understood",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "In conflict with what is there",
    412: "It was changed meanwhile",
    413: "Too large",
    415: "Media type not supported",
    422: "Not acceptable as it is",
    428: "A condition is needed",
    429: "Too many requests",
    500: "A fault of the gateway",
    501: "Not offered",
    503: "Not available now",
}

STATUS: Mapping[str, int] = {
    "unauthenticated": 401,
    "forbidden": 403,
    "csrf": 403,
    "sign_in_refused": 401,
    "beyond_own_rights": 403,
    "weak_password": 422,
    "not_two_to_compare": 422,
    "bad_consent": 422,
    "bad_text": 422,
    "not_csv": 422,
    "no_staff_file": 422,
    "not_enrolled": 409,
    "not_found": 404,
    "method_not_allowed": 405,
    "version_differs": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 409,
    "condition_needed": 428,
    "too_many_requests": 429,
    "no_consent": 409,
}
"""Where a code says more than its family; ``no_such_…`` is 404, ``…_taken`` 409, ``csv_…`` and
``zip_…`` 422, or 413 for what is too large."""


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
    by_code = _by_code(error.code)
    if by_code is not None:
        return by_code
    if isinstance(error, EnrolmentRefused):
        return 422
    for family, status in ((Refusal, 400), (InvalidInput, 400), (Rejected, 409), (Unavailable, 503)):
        if isinstance(error, family):
            return status
    return 500


def _by_code(code: str) -> int | None:
    if code in STATUS:
        return STATUS[code]
    if code.startswith("no_such_"):
        return 404
    if code.endswith("_taken"):
        return 409
    if code.startswith(("csv_", "zip_")):
        return 413 if code.endswith("_too_large") else 422
    return None


def problem_of(error: GatewayError, request_id: str) -> Problem:
    """What the caller is told. What went wrong inside is in the log, under the request's id."""
    status = status_of(error)
    own = "the gateway failed; its log has the details under this request id"
    return Problem(
        type=_TYPE + error.code,
        title=TITLES.get(status, "Error"),
        status=status,
        code=error.code,
        detail=own if status == 500 else str(error),
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
    return error.faults if isinstance(error, Refusal) else ()
