"""Pictures of a multipart upload, one in memory at a time."""

from collections.abc import AsyncIterator

from gateway.api.problems import Refusal
from gateway.api.routing import Call, too_large
from gateway.services.enrolment import Photo

MOST_BYTES = 20_000_000
"""Of one picture."""
MOST_TOGETHER = 100_000_000
"""Of a whole upload: where photographs are kept they wait in memory until all are judged."""
MULTIPART = ("multipart/form-data",)


async def pictures(call: Call, names: frozenset[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Name and content of each part, as they come. A file's own name is not looked at: it may be a person's.

    Raises Refusal (code "bad_request", "too_large").
    """
    together = 0
    async for part in call.parts():
        if part.name not in names:
            known = " and ".join(sorted(names))
            raise Refusal(f"a part of the upload has another name than those taken here: {known}")
        data = await call.read_part(part, MOST_BYTES)
        together += len(data)
        if together > min(MOST_TOGETHER, call.most_bytes):
            raise too_large(MOST_TOGETHER)
        yield str(part.name), data


async def photographs(call: Call) -> AsyncIterator[Photo]:
    """Parts called ``photograph``, numbered from 1."""
    number = 0
    async for _, data in pictures(call, frozenset({"photograph"})):
        number += 1
        yield Photo(name=f"photograph {number}", data=data)
