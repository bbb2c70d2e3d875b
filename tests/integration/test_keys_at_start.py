"""A lost or wrong master key is said at once, with its file and what to do; and what the commands show."""

import asyncio
import base64
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from gateway import foundation, settings
from gateway.domain.errors import ConfigError, DatabaseUnavailable
from gateway.security.keyring import CREDENTIAL, ENVIRONMENT, KeyRing
from gateway.security.wrapping import KeyWrapping
from gateway.storage.pool import Database
from gateway.telemetry.clock import SystemClock
from gateway.vision import models
from tests.integration.test_keys_rotated import fill, site_of

FACEGATE = [str(Path(sys.executable).with_name("facegate"))]
ANOTHER = base64.b64encode(bytes(range(32))) + b"\n"


class Place:
    """A site with a database elsewhere."""

    def __init__(self, folder: Path, url: str) -> None:
        self.site_file = site_of(folder, url)
        self.site = settings.load(self.site_file)
        self.key = folder / "state" / "master.key"
        self.url_file = folder / "url"

    async def start(self) -> KeyRing:
        """As the gateway and every command do."""
        await asyncio.to_thread(foundation.state_folder, self.site)
        stores = foundation.stores(self.site)
        try:
            return await foundation.master_keys(self.site, stores)
        finally:
            await stores.close()

    def put(self, text: bytes, mode: int = 0o600, path: Path | None = None) -> None:
        path = path or self.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
        path.chmod(mode)

    async def run(
        self, *words: str, expect: int = 0, environ: dict[str, str] | None = None
    ) -> tuple[str, str]:
        """Standard output and error of a command."""
        done = await asyncio.to_thread(
            subprocess.run,
            [*FACEGATE, *words, "--config", str(self.site_file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"COLUMNS": "160"} | (environ or {}),
        )
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def pulled() -> None:
    """The gateway looks for its models first."""
    if any(state != "ok" for _, _, state in models.states(models.default_folder())):
        pytest.skip("the models are not there: run `facegate models pull`")


@pytest.fixture
async def place(database: Database, tmp_path: Path) -> Place:
    return Place(tmp_path, await database.url())


@pytest.fixture
async def used(place: Place, database: Database) -> Place:
    """Three people and two keys of the site."""
    await fill(database, await place.start(), 3)
    return place


def spoil(place: Place, how: str) -> None:
    match how:
        case "missing":
            place.key.unlink()
        case "wrong":
            place.put(ANOTHER)
        case "malformed":
            place.put(place.key.read_bytes()[:20])
        case "exposed":
            place.key.chmod(0o644)


SPOILT = {
    "missing": ("master_key_missing", "backup"),
    "wrong": ("master_key_wrong", "backup"),
    "malformed": ("master_key_malformed", "backup"),
    "exposed": ("master_key_exposed", "chmod 600"),
}


async def test_an_empty_database_gets_a_key_and_the_next_start_finds_it(place: Place):
    made = await place.start()
    assert (await place.start()).held() == made.held()
    assert (await asyncio.to_thread(place.key.stat)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_key_stops_the_start_and_putting_it_back_mends_it(used: Place, how: str):
    before = await asyncio.to_thread(used.key.read_bytes)
    spoil(used, how)
    code, fix = SPOILT[how]
    with pytest.raises(ConfigError, match=fix) as told:
        await used.start()
    assert told.value.code == code
    assert str(used.key) in str(told.value)
    if how == "missing":
        assert not await asyncio.to_thread(used.key.exists), "no new key in place of a lost one"
    used.put(before)
    await used.start()


@pytest.mark.models
@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize("how", SPOILT)
async def test_the_gateway_ends_at_once_and_says_why(used: Place, how: str):
    spoil(used, how)
    _, told = await used.run("run", expect=2)
    code, fix = SPOILT[how]
    (line,) = [line for line in told.splitlines() if line.startswith("facegate:")]
    assert line.endswith(f"[{code}]")
    assert str(used.key) in line
    assert fix in line


async def test_a_lost_key_and_no_database_is_no_reason_for_a_new_key(place: Place):
    place.url_file.write_text(nowhere())
    with pytest.raises(DatabaseUnavailable, match=r"master\.key: there is no master key") as told:
        await place.start()
    assert told.value.code == "master_key_missing"
    assert not await asyncio.to_thread(place.key.exists)


async def test_a_named_file_that_is_missing_is_said_without_asking_the_database(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    place.url_file.write_text(nowhere())
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "usb" / "the.key"))
    with pytest.raises(ConfigError, match=r"usb/the\.key.*missing"):
        await place.start()


async def test_without_its_database_it_starts_and_looks_later(used: Place):
    """Doors work with people known before; a wrong key is said as soon as there is something to compare."""
    url = used.url_file.read_text()
    used.url_file.write_text(nowhere())
    right = await used.start()
    used.put(ANOTHER)
    wrong = await used.start()
    used.url_file.write_text(url)
    stores = foundation.stores(used.site)
    try:
        used.put(ANOTHER)
        watch = foundation.key_watch(used.site, stores, wrong, SystemClock())
        assert watch.health() == "not checked yet"
        with pytest.raises(ConfigError, match="3 people and 2 keys of the site"):
            await watch.look()
        who = str(uuid4())
        async with stores.database.connection() as db:
            rows = await db.fetch("SELECT key_id FROM master_keys")
        assert [row["key_id"] for row in rows] == [right.current()]
        with pytest.raises(DatabaseUnavailable, match="not in use"):
            await stores.site_keys.put(who, KeyWrapping(wrong).new("site", who))
    finally:
        await stores.close()


@pytest.mark.models
@pytest.mark.usefixtures("pulled")
async def test_the_gateway_itself_starts_without_its_database(used: Place, tmp_path: Path):
    used.url_file.write_text(nowhere())
    log = tmp_path / "log"
    with log.open("wb") as out:
        gateway = await asyncio.create_subprocess_exec(
            *FACEGATE, "run", "--config", str(used.site_file), stdout=out, stderr=out
        )
    try:
        async with asyncio.timeout(60):
            while b"master_key_not_checked_yet" not in log.read_bytes():
                assert gateway.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)
            assert gateway.returncode is None, log.read_text()
            gateway.send_signal(signal.SIGTERM)
            assert await gateway.wait() == 0
    finally:
        if gateway.returncode is None:
            gateway.kill()
            await gateway.wait()


def nowhere() -> str:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"postgresql://nobody@127.0.0.1:{port}/none"


# The commands.


async def test_status_check_and_rotate_as_an_operator_sees_them(used: Place):
    shown, _ = await used.run("keys", "status")
    (name,) = re.findall(r"[0-9a-f]{16}", shown)
    assert f"Key file: {used.key}" in shown
    assert re.search(rf"{name} +│ current +│ 3 +│ 2 +│ yes", shown)
    assert "5 of 5 keys open" in (await used.run("keys", "check"))[0]

    rotated, _ = await used.run("keys", "rotate")
    new = re.findall(r"[0-9a-f]{16}", rotated)[0]
    assert new != name
    assert "5 keys were wrapped by it just now" in rotated
    assert "backup" in rotated
    assert "finished a change" not in rotated

    shown, _ = await used.run("keys", "status")
    assert re.search(rf"{name} +│ retired +│ 0 +│ 0 +│ no", shown)
    assert re.search(rf"{new} +│ current +│ 3 +│ 2 +│ yes", shown)
    assert "5 of 5 keys open" in (await used.run("keys", "check"))[0]


async def test_status_and_check_say_what_a_wrong_key_cannot_open(used: Place):
    spoil(used, "wrong")
    shown, _ = await used.run("keys", "status", expect=1)
    assert "MISSING: 3 people and 2 keys of the site are under the key" in shown
    shown, _ = await used.run("keys", "check", expect=1)
    assert "0 of 5 keys open" in shown
    assert shown.count("which is not here") == 5
    _, told = await used.run("keys", "rotate", expect=2)
    assert "master_key_wrong" in told
    await asyncio.to_thread(used.key.unlink)
    for command in ("status", "check", "rotate"):
        _, told = await used.run("keys", command, expect=2)
        assert "[master_key_missing]" in told
        assert str(used.key) in told


async def test_a_gateway_without_the_new_key_is_waited_for_named_and_can_be_skipped(
    used: Place, database: Database
):
    async with database.connection() as db:
        await db.execute("INSERT INTO master_key_holders VALUES ('north', ARRAY['0000000000000000'])")
    _, told = await used.run("keys", "rotate", "--wait", "0", expect=2)
    assert "north" in told
    assert "[gateways_lack_the_key]" in told
    shown, _ = await used.run("keys", "status")
    assert "A change of keys is under way" in shown
    assert re.search(r"[0-9a-f]{16} +│ next +│ 0 +│ 0 +│ yes", shown)
    assert "5 of 5 keys open" in (await used.run("keys", "check"))[0]
    rotated, _ = await used.run("keys", "rotate", "--skip", "north")
    assert "5 keys were wrapped" in rotated


async def test_a_lost_next_key_is_given_up_by_command(used: Place, database: Database):
    before = await asyncio.to_thread(used.key.read_bytes)
    async with database.connection() as db:
        await db.execute("INSERT INTO master_key_holders VALUES ('north', ARRAY['0000000000000000'])")
    await used.run("keys", "rotate", "--wait", "0", expect=2)
    used.put(before)
    _, told = await used.run("keys", "rotate", "--skip", "north", expect=2)
    assert "[rotation_under_way]" in told
    rotated, _ = await used.run("keys", "rotate", "--skip", "north", "--give-up")
    assert "5 keys were wrapped" in rotated


async def test_a_key_that_systemd_lends_is_changed_where_it_comes_from(
    place: Place, database: Database, tmp_path: Path
):
    lent = tmp_path / "credentials"
    source = tmp_path / "etc" / "master.key"
    place.put(ANOTHER, path=source)
    place.put(ANOTHER, 0o440, path=lent / CREDENTIAL)
    service = {"CREDENTIALS_DIRECTORY": str(lent)}
    await place.run("keys", "rotate", environ=service, expect=2)
    _, told = await place.run("keys", "rotate", environ=service, expect=2)
    assert "[master_key_lent]" in told
    assert f"{ENVIRONMENT}=" in told
    rotated, _ = await place.run("keys", "rotate", environ={ENVIRONMENT: str(source)})
    assert "The master key is" in rotated
    place.put(source.read_bytes(), 0o440, path=lent / CREDENTIAL)  # what a restart of the service does
    assert "0 of 0 keys open" in (await place.run("keys", "check", environ=service))[0]
    assert not await asyncio.to_thread(place.key.exists), "no key of its own beside a given one"
