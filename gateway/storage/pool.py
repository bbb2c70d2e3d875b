"""Connections to Postgres that may come and go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import asyncpg

from gateway.domain.errors import ConfigError, DatabaseUnavailable, InvariantBroken

Connection = asyncpg.pool.PoolConnectionProxy
CONNECT_S = 3.0
COMMAND_S = 5.0

_REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.InsufficientPrivilegeError)
"""What a repository can make sense of, and does."""
_KEY_NOT_IN_USE = "FG001"
"""Raised by the triggers of schemas/sql/0009_master_keys.sql."""
_WRONG_SCHEMA = (asyncpg.exceptions.SyntaxOrAccessError,)
TROUBLE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError)
"""Everything else: away, failing over, full, shutting down, login refused, deadlock …"""


@dataclass(slots=True)
class Database:
    """A pool that can be made while the database is away, and recovers by itself."""

    url: Callable[[], Awaitable[str]]
    """Where it is; asked again after trouble, so that ``EmbeddedPostgres.start`` revives a dead server."""
    size: int = 6
    _pool: asyncpg.Pool | None = None
    _address: str = ""
    _doubted: bool = False
    _closed: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _shared: ContextVar[asyncpg.pool.PoolConnectionProxy | None] = field(
        default_factory=lambda: ContextVar("facegate_together", default=None)
    )

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """A connection for a while.

        Raises DatabaseUnavailable for trouble inside or outside the block, InvariantBroken when the schema is
        not this version's. Violated constraints come through as asyncpg's own.
        """
        shared = self._shared.get()
        try:
            if shared is not None:
                yield shared
                return
            pool = await self._opened()
            try:
                connection = await pool.acquire(timeout=CONNECT_S)
            except ValueError:  # asyncpg reads the address only now
                raise ConfigError("database.url_file: holds no usable postgresql:// URL") from None
            try:
                yield connection
            finally:
                await pool.release(connection)
        except _REFUSALS:
            raise
        except _WRONG_SCHEMA as error:
            raise InvariantBroken(
                f"the database is not as this Facegate expects ({called(error)}); run its migrations",
                code="schema_differs",
            ) from None
        except TROUBLE as error:
            if getattr(error, "sqlstate", None) == _KEY_NOT_IN_USE:
                raise DatabaseUnavailable(
                    "this gateway wraps by a master key that is not in use any more; it takes up the new one "
                    "within seconds, if its key file has it (`facegate keys status`)",
                    code="master_key_not_in_use",
                ) from None
            self._doubted = True
            # Without the error's own text and trace: they may hold an address or a row.
            raise DatabaseUnavailable(f"Postgres does not do its work ({called(error)})") from None

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """A connection in a transaction that is rolled back when the block raises."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def check(self) -> None:
        """Raises DatabaseUnavailable when it does not answer."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        """One transaction for all that this task does with the database inside the block.

        Transactions within become savepoints of it. Nothing in the block may use the database from another
        task, or ask for another isolation level.
        """
        async with self.transaction() as connection:
            token = self._shared.set(connection)
            try:
                yield connection
            finally:
                self._shared.reset(token)

    async def _opened(self) -> asyncpg.Pool:
        if self._pool is not None and not self._doubted:
            return self._pool
        async with self._opening:
            self._check_open()
            if self._pool is None or self._doubted:
                address = await self.url()
                self._check_open()  # a pool made now would have nobody to close it
                self._doubted = False
                if address != self._address or self._pool is None:
                    self._pool = await self._replaced(address)
            return self._pool

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("the connections to Postgres have been closed")

    async def _replaced(self, address: str) -> asyncpg.Pool:
        """A pool for a new address; connections in use end with the old one."""
        old, self._pool = self._pool, None
        if old is not None:
            old.terminate()
        pool = await asyncpg.create_pool(
            address,
            min_size=0,  # connects when first used: the database may be away now
            max_size=self.size,
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            server_settings={"application_name": "facegate"},
        )
        self._address = address
        return pool

    async def close(self) -> None:
        """Close every connection, for good. Idempotent."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_S)
            except (TimeoutError, *TROUBLE):
                pool.terminate()


def called(error: BaseException) -> str:
    """What kind of trouble it is, without its own words: they may hold an address or a row."""
    code = getattr(error, "sqlstate", None)
    return type(error).__name__ + (f", {code}" if code else "")
