"""News of people from a real Postgres: at once, once more after every absence, and over dead connections."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit, urlunsplit
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.storage.people import PostgresPeople
from gateway.storage.pool import Database
from gateway.storage.roster_news import PostgresRosterNews
from tests.contract.test_people_store_contract import MODEL, enrol

KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'facegate roster' AND datname = current_database()
"""


class Heard:
    """Counts, and says when."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self) -> None:
        self.times.append(time.monotonic())

    async def more_than(self, count: int, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while len(self.times) <= count:
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def following(news: PostgresRosterNews) -> AsyncIterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(news.follow(heard))
    try:
        yield heard
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_commit_is_heard_long_before_any_poll(database: Database) -> None:
    people = PostgresPeople(database)
    async with following(PostgresRosterNews(database.url)) as heard:
        await heard.more_than(0)
        for _ in range(10):
            before = len(heard.times)
            await enrol(people)
            await heard.more_than(before, 0.3)


async def test_what_is_rolled_back_is_not_told(database: Database) -> None:
    async with following(PostgresRosterNews(database.url)) as heard:
        await heard.more_than(0)
        with contextlib.suppress(ZeroDivisionError):
            async with database.transaction() as db:
                await db.execute("INSERT INTO access_profiles (profile) VALUES ('x')")
                raise ZeroDivisionError
        await asyncio.sleep(0.2)
        assert len(heard.times) == 1


async def test_a_connection_that_the_server_closes_is_made_anew_and_told(database: Database) -> None:
    people = PostgresPeople(database)
    async with following(PostgresRosterNews(database.url)) as heard:
        await heard.more_than(0)
        for _ in range(3):
            before = len(heard.times)
            async with database.connection() as db:
                assert await db.fetchval(f"SELECT count(*) FROM ({KILL}) AS killed") == 1  # noqa: S608
            await heard.more_than(before)
            before = len(heard.times)
            await enrol(people)
            await heard.more_than(before, 1)


async def test_a_connection_that_is_open_and_dead_is_noticed(database: Database) -> None:
    """A firewall that forgot it: nothing is closed, and nothing comes through any more."""
    address = await database.url()
    wall = Wall(address)
    async with wall.standing() as through:

        async def url() -> str:
            return through

        people = PostgresPeople(database)
        async with following(PostgresRosterNews(url, pulse_s=0.2)) as heard:
            await heard.more_than(0)
            wall.swallow = True
            await enrol(people)
            await asyncio.sleep(0.1)
            assert len(heard.times) == 1
            await asyncio.sleep(1)
            wall.swallow = False
            await heard.more_than(1)
            assert wall.connections > 1


async def test_an_address_that_is_none_is_tried_again_until_it_is_one(database: Database) -> None:
    address = ["not an address", "postgresql://nobody@127.0.0.1:1/none", await database.url()]

    async def url() -> str:
        return address.pop(0) if len(address) > 1 else address[0]

    async with following(PostgresRosterNews(url)) as heard:
        await heard.more_than(0)


class Wall:
    """Stands between a client and Postgres, and can swallow everything without closing anything."""

    def __init__(self, address: str) -> None:
        self.address, self.swallow, self.connections = address, False, 0

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        parts = urlsplit(self.address)
        login = parts.netloc.rpartition("@")[0]
        try:
            yield urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}", query=""))
        finally:
            server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await self._server()
        dead: list[bool] = []

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if self.swallow:
                        dead.append(True)
                    if not dead:
                        sink.write(data)
                        await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def _server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = parse_qs(urlsplit(self.address).query).get("host", [""])[0]
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")
        parts = urlsplit(self.address)
        return await asyncio.open_connection(parts.hostname, parts.port)


_END = st.one_of(st.none(), st.integers(-3, 3))
_CONSENT = st.tuples(_END, st.booleans(), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(consents=st.lists(_CONSENT, max_size=4))
async def test_the_roster_and_the_schema_agree_on_who_consents(
    database: Database, consents: list[tuple[int | None, bool, bool]]
) -> None:
    """Each consent: days to its end or none, withdrawn, ended."""
    people = PostgresPeople(database)
    who = await enrol(people, consent=None, templates=[])
    now = datetime.now(UTC)
    ends = [None if days is None else now + timedelta(days=days, hours=1) for days, _, _ in consents]
    async with database.transaction() as db:
        for end, (_, withdrawn, ended) in zip(ends, consents, strict=True):
            await db.execute(
                "INSERT INTO consents (person_id, attestation, expires_at, withdrawn_at, ended_at) "
                "VALUES ($1, 'x', $2, CASE WHEN $3 THEN now() END, CASE WHEN $4 THEN now() END)",
                UUID(who),
                end,
                withdrawn,
                ended,
            )
        in_force = await db.fetchval("SELECT consent_in_force($1)", UUID(who))
    person = next(p for p in (await people.load(MODEL))[1] if p.person_id == who)
    alive = [
        end
        for end, (_, withdrawn, ended) in zip(ends, consents, strict=True)
        if not (withdrawn or ended or (end is not None and end <= now))
    ]
    assert person.consented == in_force == bool(alive)
    assert person.consent_until == (None if None in alive or not alive else max(alive))
