"""The embedded server: shared, revived, stopped by its last user, and refused where it cannot work."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.storage import pg_server, pool
from gateway.storage.embedded import EmbeddedPostgres, check_reachable
from gateway.storage.pool import Database

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")


@pytest.fixture
async def server(state: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(state / "postgres")
    yield server
    await server.stop()
    with contextlib.suppress(ConfigError):
        await server.stop_server()


def postmaster(server: EmbeddedPostgres) -> psutil.Process | None:
    return server._server().postmaster()


def kill(server: EmbeddedPostgres) -> None:
    process = postmaster(server)
    assert process is not None
    process.kill()
    until(lambda: postmaster(server) is None)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def ask(url: str, question: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_starts_from_nothing_and_stops(server: EmbeddedPostgres) -> None:
    url = await server.start()
    assert await ask(url) == 1
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert await ask(url, "SHOW listen_addresses") == ""
    assert await ask(url, "SHOW fsync") == "on"
    await server.stop()
    assert postmaster(server) is None
    await server.stop()
    assert await server.start() == url
    assert await ask(url) == 1


async def test_the_last_user_stops_it(server: EmbeddedPostgres) -> None:
    other = EmbeddedPostgres(server.folder)
    urls = await asyncio.gather(server.start(), other.start(), server.start())
    assert len(set(urls)) == 1
    first = postmaster(server)
    await server.stop()
    assert await ask(urls[0]) == 1
    assert postmaster(other) == first
    await other.stop()
    assert postmaster(other) is None


async def test_a_user_in_another_process_counts_until_it_is_killed(server: EmbeddedPostgres) -> None:
    url = await server.start()
    code = (
        "import asyncio, sys, time\nfrom pathlib import Path\n"
        "from gateway.storage.embedded import EmbeddedPostgres\n"
        f"asyncio.run(EmbeddedPostgres(Path({str(server.folder)!r})).start())\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen(  # noqa: ASYNC220  # quick
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == "up\n"
        await server.stop()
        assert await ask(url) == 1, "the other process still uses it"
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()
    running = postmaster(server)
    assert running is not None, "a killed user leaves it running"
    assert await server.start() == url
    assert postmaster(server) == running, "the next start joins it"
    await server.stop()
    assert postmaster(server) is None, "and its clean stop is the last one's"


async def test_a_killed_server_is_recovered_with_what_it_had(server: EmbeddedPostgres) -> None:
    url = await server.start()
    await ask(url, "CREATE TABLE kept (a int)")
    await ask(url, "INSERT INTO kept VALUES (7)")
    await asyncio.to_thread(kill, server)
    assert await server.start() == url
    assert await ask(url, "SELECT a FROM kept") == 7


async def test_a_process_number_left_by_a_crash_and_used_by_another_is_no_obstacle(
    server: EmbeddedPostgres,
) -> None:
    url = await server.start()
    file = server.folder / "postmaster.pid"
    left = file.read_text()
    await asyncio.to_thread(kill, server)
    for text in (left.replace(left.split("\n")[0], str(os.getpid()), 1), "", "garbage\n", f"{os.getpid()}\n"):
        file.write_text(text)
        assert await server.start() == url
        assert await ask(url) == 1
        await server.stop()


async def test_a_first_start_killed_half_way_begins_anew(server: EmbeddedPostgres) -> None:
    part = server.folder.with_name("postgres.part")
    part.mkdir()
    (part / "PG_VERSION").write_text("18\n")
    assert await ask(await server.start()) == 1
    assert not part.exists()


async def test_a_server_that_cannot_start_says_where_its_log_is(server: EmbeddedPostgres) -> None:
    await server.start()
    await server.stop()
    (server.folder / "postgresql.conf").write_text("nonsense = here\n")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match=r"postgres/log"):
        await server.start()
    assert time.monotonic() - began < 40
    await server.stop()


async def test_a_database_of_another_version_is_told(server: EmbeddedPostgres) -> None:
    await server.start()
    await server.stop()
    version = server.folder / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(ConfigError, match=r"PostgreSQL 16.*dump it"):
        await server.start()
    version.write_text(f"{pg_server.VERSION}\n")
    await server.start()


@pytest.mark.parametrize("name", ["x" * 100, "a,b"])
async def test_a_path_no_socket_can_have_is_told(state: Path, name: str) -> None:
    (state / name).mkdir(mode=0o711)
    with pytest.raises(ConfigError, match="state_folder"):
        await EmbeddedPostgres(state / name / "postgres").start()


async def test_a_folder_with_something_else_in_it_is_left_alone(state: Path) -> None:
    (state / "postgres").mkdir()
    (state / "postgres" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="not a PostgreSQL database"):
        await EmbeddedPostgres(state / "postgres").start()
    with pytest.raises(ConfigError, match="is not a folder"):
        await EmbeddedPostgres(state / "none" / "postgres").start()


@as_root
async def test_a_folder_that_its_user_cannot_enter_is_told_before_anything_starts(state: Path) -> None:
    closed = state / "root-only"
    closed.mkdir(mode=0o700)
    deep = closed / "facegate"
    deep.mkdir(mode=0o711)
    with pytest.raises(ConfigError) as told:
        check_reachable(deep / "postgres")
    assert f"may not enter {closed};" in str(told.value)
    assert "chmod o+x" in str(told.value)
    with pytest.raises(ConfigError):
        await EmbeddedPostgres(deep / "postgres").start()
    assert not (deep / "postgres").exists()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_programs_that_its_user_cannot_reach_are_told(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = state / "home" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").touch(mode=0o755)
    (state / "home").chmod(0o700)
    monkeypatch.setitem(pg_server.POSTGRES_VERSIONS, pg_server.VERSION, programs)
    with pytest.raises(ConfigError, match=r"home, where its programs are"):
        check_reachable(state / "postgres")
    (state / "home").chmod(0o755)
    (programs / "postgres").chmod(0o700)
    with pytest.raises(ConfigError, match=r"may not run"):
        check_reachable(state / "postgres")


@as_root
async def test_it_runs_without_roots_groups_and_changes_no_folders_mode(server: EmbeddedPostgres) -> None:
    folders = [p for p in server.folder.resolve().parents if p != Path("/")]
    before = [(p, p.stat().st_mode) for p in folders]
    await server.start()
    process = postmaster(server)
    assert process is not None
    assert process.uids().effective != 0
    assert process.gids().effective != 0
    status = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
    assert "\nGroups:\t \n" in status or "\nGroups:\t\n" in status
    assert [(p, p.stat().st_mode) for p in folders] == before


@as_root
async def test_a_database_made_by_an_ordinary_user_is_run_as_them_by_root(server: EmbeddedPostgres) -> None:
    await server.start()
    await server.stop()
    owner = 54321 if not _exists(54321) else 54322
    for path in (server.folder, *server.folder.rglob("*")):
        os.chown(path, owner, owner)
    with pytest.raises(ConfigError, match=f"user {owner}, who does not exist"):
        await server.start()


def _exists(uid: int) -> bool:
    return subprocess.run(["getent", "passwd", str(uid)], capture_output=True, check=False).returncode == 0


async def test_a_pool_revives_a_dead_server_by_asking_for_its_address_again(server: EmbeddedPostgres) -> None:
    database = Database(server.start)
    try:
        async with database.connection() as db:
            assert await db.fetchval("SELECT 1") == 1
        await asyncio.to_thread(kill, server)
        with pytest.raises(DatabaseUnavailable):
            async with database.connection() as db:
                await db.fetchval("SELECT 1")
        async with database.connection() as db:
            assert await db.fetchval("SELECT 1") == 1
    finally:
        await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.connection():
            pass


async def test_a_server_that_hangs_is_given_up_in_time(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "COMMAND_S", 1.0)
    database = Database(server.start)
    try:
        async with database.connection() as db:
            pid = await db.fetchval("SELECT pg_backend_pid()")
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(DatabaseUnavailable):
                async with database.connection() as db:
                    await db.fetchval("SELECT 1")
            assert time.monotonic() - began < 15
        finally:
            os.kill(pid, signal.SIGCONT)
        async with database.connection() as db:  # and others are served
            assert await db.fetchval("SELECT 1") == 1
    finally:
        await database.close()


async def test_an_address_that_is_none_is_told_without_showing_it() -> None:
    async def address() -> str:
        return "postgresql://facegate:hunter2@nowhere.invalid:notaport/x"

    database = Database(address)
    with pytest.raises(ConfigError, match="url_file") as told:
        async with database.connection():
            pass
    assert "hunter2" not in str(told.value)
    assert told.value.__suppress_context__
    await database.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u:hunter2@127.0.0.1:1/x", "postgresql://u:hunter2@/x?host=/none"]
)
async def test_a_database_that_is_away_is_told_without_its_address(url: str) -> None:
    async def address() -> str:
        return url

    database = Database(address)
    with pytest.raises(DatabaseUnavailable) as told:
        async with database.connection():
            pass
    assert "hunter2" not in str(told.value)
    await database.close()


async def test_nothing_is_left_behind(state: Path) -> None:
    server = EmbeddedPostgres(state / "postgres")
    await server.start()
    await server.stop()
    assert sorted(p.name for p in state.iterdir()) == ["postgres", "postgres.lock", "postgres.users"]  # noqa: ASYNC240
    shutil.rmtree(server.folder)
    assert await ask(await server.start()) == 1
    await server.stop()


async def test_what_is_done_together_is_done_whole_or_not_at_all(database: Database) -> None:
    async def add(profile: str) -> None:
        async with database.transaction() as db:
            await db.execute("INSERT INTO access_profiles (profile) VALUES ($1)", profile)

    async def count() -> int:
        async with database.connection() as db:
            return int(await db.fetchval("SELECT count(*) FROM access_profiles"))

    before = await count()

    async def broken_off() -> None:
        async with database.together():
            await add("one")
            with pytest.raises(asyncpg.UniqueViolationError):  # undone alone, up to its own beginning
                await add("one")
            assert await count() == before + 1
            assert await _counted_elsewhere(database) == before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()
    assert await count() == before
    async with database.together():
        await add("one")
        await add("two")
    assert await count() == before + 2


async def _counted_elsewhere(database: Database) -> int:
    connection = await asyncpg.connect(await database.url())
    try:
        return int(await connection.fetchval("SELECT count(*) FROM access_profiles"))
    finally:
        await connection.close()
