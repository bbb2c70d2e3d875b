"""What a route is: one row of a table that serving, access checks and the OpenAPI file all read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.api.pace import Pace
from gateway.api.problems import Refusal
from gateway.domain.accounts import Actor, Role

EVERY_ROLE = frozenset(Role)
_CHUNK = 65536
_MALFORMED = (ValueError, RuntimeError, HttpProcessingError)
"""What aiohttp's reader says of a form that is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler says when there is more to it than a body with the usual status."""

    body: msgspec.Struct | bytes | AsyncIterator[bytes] | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    version: int | None = None
    """Becomes the ETag."""
    media_type: str = "application/octet-stream"
    """Of bytes and streams."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, checked: the caller may, and what they sent has the right shape."""

    request: web.Request
    actor: Actor
    path: Mapping[str, str]
    query: Any = None
    """Of the route's ``query`` type."""
    body: Any = None
    """Of the route's ``body`` type."""
    if_match: int | None = None
    """The version the caller changes; None when they said ``*`` or nothing."""
    most_bytes: int = 0
    """Of an upload."""
    pace: Pace = field(default_factory=Pace)
    """Of an upload."""
    content: Any = None
    """A hash that what an upload holds goes into as it is read; None where nobody asks."""

    async def stream(self) -> AsyncIterator[bytes]:
        """The body of an upload in parts. Raises Refusal (code "too_large", "too_slow")."""
        size = 0
        while part := await self.pace.of(self.request.content.read(_CHUNK)):
            size += len(part)
            if size > self.most_bytes:
                raise too_large(self.most_bytes)
            self._hash(part)
            yield part

    async def parts(self) -> AsyncIterator[BodyPartReader]:
        """The parts of a multipart/form-data upload, each to be read before the next.

        Raises Refusal (code "bad_request") for what is no such thing; code "too_slow".
        """
        try:
            reader = await self.request.multipart()
            while (part := await self.pace.of(reader.next())) is not None:
                if not isinstance(part, BodyPartReader):
                    raise Refusal("a part of the upload is itself multipart; send every file as its own part")
                yield part
        except _MALFORMED:
            raise Refusal("the upload is not multipart/form-data as RFC 7578 has it") from None

    async def chunks(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        """One part in pieces. Raises Refusal (code "bad_request") when it is cut off; code "too_slow"."""
        size = 0
        try:
            while chunk := await self.pace.of(part.read_chunk(_CHUNK)):
                size += len(chunk)
                self._hash(bytes(chunk))
                yield bytes(chunk)
            self._hash(f"\n{size} bytes: {part.name}\n".encode("utf-8", "surrogatepass"))
        except _MALFORMED:
            raise Refusal("the upload ends in the middle of a file; send it again") from None

    async def read_through(self) -> None:
        """All that is uploaded, for ``content`` alone. Raises as ``parts`` and ``stream``."""
        if self.request.content_type != "multipart/form-data":
            async for _ in self.stream():
                pass
            return
        size = 0
        async for part in self.parts():
            async for chunk in self.chunks(part):
                size += len(chunk)
                if size > self.most_bytes:
                    raise too_large(self.most_bytes)

    def _hash(self, data: bytes) -> None:
        if self.content is not None:
            self.content.update(data)

    async def read_part(self, part: BodyPartReader, most_bytes: int) -> bytes:
        """One part whole. Raises Refusal (code "bad_request", "too_large", "too_slow")."""
        data = bytearray()
        async for chunk in self.chunks(part):
            data += chunk
            if len(data) > most_bytes:
                raise too_large(most_bytes)
        return bytes(data)


Handler = Callable[[Call], Awaitable[msgspec.Struct | Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. ``path`` is as aiohttp and OpenAPI both write it: ``/people/{person_id}``."""

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    roles: frozenset[Role] | None
    """Who may call; None for everybody, signed in or not."""
    scope: str = ""
    """What an API key needs, as ``people:read``; empty when every key will do."""
    description: str = ""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    status: int = 200
    errors: tuple[str, ...] = ()
    """Problem codes beside those every route may answer with."""
    creates: bool = False
    """Takes an Idempotency-Key."""
    conditional: bool = False
    """Needs If-Match: somebody else may have changed it since it was read."""
    upload: tuple[str, ...] = ()
    """Media types taken as a stream instead of a body."""
    form: Mapping[str, str] = field(default_factory=dict)
    """Parts of a multipart upload: name and what it is, for the OpenAPI file."""
    produces: str = "application/json"
    """Media type of what is not JSON."""
    most_bytes: int = 1_000_000
    most_s: float = float("inf")
    """So long an upload may take altogether, at whatever pace."""


def too_large(most_bytes: int) -> Refusal:
    """The refusal of a body above a cap."""
    most = f"{most_bytes / 1e6:g} MB" if most_bytes >= 1e5 else f"{most_bytes} bytes"
    return Refusal(f"the body is larger than {most}; send less at once", code="too_large")
