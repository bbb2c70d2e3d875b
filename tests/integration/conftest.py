"""One embedded Postgres for all integration tests; each test that asks gets a database of its own."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate
from gateway.storage.pool import Database

_TEMPLATE = "facegate_template"
_ENOUGH = 1_000_000_000


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The running server. Its databases need not outlive a crash, so it does not sync."""
    with _state() as folder:
        server = EmbeddedPostgres(folder / "postgres")
        try:
            asyncio.run(_prepare(server))
            yield server
        finally:
            asyncio.run(server.stop())


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that the embedded server's user can reach, whoever runs the tests."""
    with _state() as folder:
        yield folder


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database without a schema."""
    async with _fresh(postgres, "template0") as database:
        yield database


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A database with the schema and nobody in it."""
    async with _fresh(postgres, _TEMPLATE) as database:
        yield database


class _state:  # noqa: N801  # used like a function
    """pytest's own folders are closed to other users, and the server is one when root runs the tests.

    In memory if there is room: databases are made by the dozen.
    """

    def __enter__(self) -> Path:
        memory = Path("/dev/shm")  # noqa: S108  # a folder of its own in it
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ENOUGH
        self._folder = Path(tempfile.mkdtemp(prefix="facegate-test-", dir=memory if roomy else None))
        self._folder.chmod(0o711)
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


class _fresh:  # noqa: N801  # used like a function
    """A clone of a template database, dropped at the end."""

    def __init__(self, server: EmbeddedPostgres, template: str) -> None:
        self._server, self._template = server, template
        self._name = f"test_{uuid4().hex}"

    async def __aenter__(self) -> Database:
        await _admin(
            self._server, f"CREATE DATABASE {self._name} TEMPLATE {self._template} STRATEGY file_copy"
        )
        self._database = database_of(self._server.url, self._name)
        return self._database

    async def __aexit__(self, *_: object) -> None:
        await self._database.close()
        await _admin(self._server, f"DROP DATABASE {self._name} WITH (FORCE)")


def database_of(url: str, name: str) -> Database:
    """A pool on one database of a server."""

    async def address() -> str:
        return url.replace("@/postgres?", f"@/{name}?")

    return Database(address, size=4)


async def _admin(server: EmbeddedPostgres, *commands: str) -> None:
    connection = await asyncpg.connect(server.url)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


async def _prepare(server: EmbeddedPostgres) -> None:
    await server.start()
    await _admin(
        server,
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "SELECT pg_reload_conf()",
        f"CREATE DATABASE {_TEMPLATE}",
    )
    database = database_of(server.url, _TEMPLATE)
    try:
        await migrate(database)
    finally:
        await database.close()
