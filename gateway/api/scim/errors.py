"""Errors as SCIM says them (RFC 7644 section 3.12): a status, a ``scimType`` if there is one, what to do."""

from collections.abc import Mapping

from aiohttp import web
from pydantic import ValidationError
from scim2_models import Error, SCIMException

from gateway.api.problems import RETRY_AFTER_S, Refusal, sayable, status_of
from gateway.domain.errors import GatewayError, Unavailable

MEDIA_TYPE = "application/scim+json"

_KEYWORDS: Mapping[str, str] = {
    "bad_filter": "invalidFilter",
    "bad_sort": "invalidPath",
    "bad_text": "invalidValue",
    "bad_request": "invalidSyntax",
}


def response_of(error: GatewayError | SCIMException | ValidationError) -> web.Response:
    """An error as the answer to a request."""
    headers: dict[str, str] = {}
    if isinstance(error, SCIMException):
        body = error.to_error()
    elif isinstance(error, ValidationError):
        body = Error.from_validation_errors(error)[0]
    else:
        body = _own(error)
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        if body.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="facegate"'
        if isinstance(error, Refusal) and error.headers:
            headers.update(error.headers)
    return web.Response(
        status=body.status or 400,
        text=body.model_dump_json(),
        headers=headers,
        content_type=MEDIA_TYPE,
    )


def _own(error: GatewayError) -> Error:
    status = status_of(error)
    keyword = "uniqueness" if error.code.endswith("_taken") else _KEYWORDS.get(error.code)
    if status == 500:
        return Error(status=500, detail="the gateway failed; its log has the details")
    # RFC 7644, section 3.12, has 400 for every value that will not do.
    return Error(status=400 if status == 422 else status, scim_type=keyword, detail=sayable(str(error)))
