"""``ports.RosterNews`` by LISTEN: a connection of its own, which hears of every change as it is committed."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import structlog

from gateway.domain.errors import GatewayError
from gateway.storage.pool import COMMAND_S, CONNECT_S, TROUBLE, called

_log = structlog.get_logger(__name__)

CHANNEL = "facegate_roster"
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
PULSE_S = 3.0
"""So often the connection is asked whether it lives: one that a firewall forgot stays open, and silent."""


@dataclass(slots=True)
class PostgresRosterNews:
    """Behind a pooler that lends connections by the transaction LISTEN hears nothing: the poll follows."""

    url: Callable[[], Awaitable[str]]
    pulse_s: float = PULSE_S

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Until cancelled; see ``ports.RosterNews``."""
        wait, lost = FIRST_WAIT_S, False
        while True:
            try:
                async with self._listening(on_news) as (connection, gone):
                    if lost:
                        _log.info("roster_news_back")
                    wait, lost = FIRST_WAIT_S, False
                    on_news()  # what changed while nobody listened
                    await self._until_gone(connection, gone)
            except (GatewayError, ValueError, *TROUBLE) as error:
                if not lost:
                    _log.warning("roster_news_lost", why=called(error), instead="the poll")
                lost = True
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret
            wait = min(2 * wait, LONGEST_WAIT_S)

    @contextlib.asynccontextmanager
    async def _listening(
        self, on_news: Callable[[], None]
    ) -> AsyncIterator[tuple[asyncpg.Connection, asyncio.Event]]:
        connection = await asyncpg.connect(
            await self.url(),
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            server_settings={"application_name": "facegate roster"},
        )
        gone = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _connection: gone.set())
            await connection.add_listener(CHANNEL, lambda *_: on_news())
            yield connection, gone
        finally:
            connection.terminate()  # at once: a polite goodbye waits for an answer that may never come

    async def _until_gone(self, connection: asyncpg.Connection, gone: asyncio.Event) -> None:
        while not gone.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.pulse_s):
                    await gone.wait()
            if not gone.is_set():
                await connection.execute("SELECT 1", timeout=self.pulse_s)
        raise ConnectionResetError("closed by the server")
