"""Connections to the API: what is no HTTP is refused as all else is, and nobody takes all the room."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import web

from gateway.api.answering import expected, place_of, unreadable

_log = structlog.get_logger(__name__)

IDLE_S = 60.0
"""Until a connection says something whole: the head of a request, the first one or the next."""
MOST = 300
MOST_EACH = 100
"""Connections at once, and of one address. Cameras, doors and the database need descriptors too."""


@dataclass(slots=True)
class Room:
    """How many connections there are."""

    most: int = MOST
    most_each: int = MOST_EACH
    _there: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Whether there is room for one more of this address, which it then has."""
        if self._there.total() >= self.most or self._there[address] >= self.most_each:
            return False
        self._there[address] += 1
        return True

    def leave(self, address: str) -> None:
        """It has gone."""
        self._there[address] -= 1
        if not self._there[address]:
            del self._there[address]


class Conversation(web.RequestHandler):
    """aiohttp's, without the words of its parser: they quote what was sent, and that may be a key."""

    __slots__ = ("_address", "_room")

    def __init__(self, room: Room, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        """``server`` hands the requests on. Packed bodies stay packed: no route takes them."""
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner takes it: none
            keepalive_timeout=IDLE_S,
            auto_decompress=False,
        )
        self._room = room
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls; beyond what there is room for, in vain."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        if self._room.enter(address):
            self._address = address
        else:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """They have gone."""
        super().connection_lost(exc)
        if self._address is not None:
            self._room.leave(self._address)
            self._address = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes
    ) -> web.StreamResponse:
        """What could not be read, or failed outside every handler."""
        if status >= 500 and exc is not None:
            _log.error("request_failed", **place_of(exc))
        else:
            _log.info("request_unreadable", error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        response = unreadable(status)
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **more: Any) -> None:
        """A bug of ours or of aiohttp's, without what was being worked on."""
        error = more.get("exc_info")
        where = place_of(error) if isinstance(error, BaseException) else {}
        _log.error("connection_failed", **where)


def conversations(server: web.Server, room: Room) -> Callable[[], Conversation]:
    """Makes one for every connection."""
    server.request_handler = expected(server.request_handler)
    loop = asyncio.get_running_loop()
    return lambda: Conversation(room, server, loop)
