"""Connections to Postgres that may come and go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg

from gateway.domain.errors import DatabaseUnavailable

CONNECT_S = 3.0
COMMAND_S = 10.0

_TROUBLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.CannotConnectNowError,
)


@dataclass(slots=True)
class Database:
    """A pool that can be made while the database is away, and recovers by itself."""

    url: Callable[[], Awaitable[str]]
    """Where it is now; asked again after trouble. May raise DatabaseUnavailable."""
    size: int = 6
    _pool: asyncpg.Pool | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """A connection for a while. Trouble inside or outside raises DatabaseUnavailable."""
        try:
            pool = await self._opened()
            async with pool.acquire(timeout=CONNECT_S) as connection:
                yield connection
        except _TROUBLE as error:
            # No address in the message: it may hold a password.
            raise DatabaseUnavailable(f"Postgres does not answer ({type(error).__name__})") from error

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """A connection in a transaction that is rolled back when the block raises."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                url = await self.url()
                self._pool = await asyncpg.create_pool(
                    url,
                    min_size=0,
                    max_size=self.size,
                    timeout=CONNECT_S,
                    command_timeout=COMMAND_S,
                    server_settings={"application_name": "facegate"},
                )
            return self._pool

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_S)
            except TimeoutError:
                pool.terminate()
