"""The master key changes under a running gateway: it is waited for, it follows, and it starts again after."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.security.keyring import CREDENTIAL, ENVIRONMENT
from gateway.storage.pool import Database
from tests.integration.test_keys_at_start import ANOTHER, FACEGATE, Place, fill, place, pulled, used

__all__ = ["place", "pulled", "used"]

pytestmark = [pytest.mark.models, pytest.mark.usefixtures("pulled")]


@contextlib.asynccontextmanager
async def gateway(
    place: Place, database: Database, log: Path, environ: dict[str, str] | None = None
) -> AsyncIterator[None]:
    """``facegate run``, ended in order. What an earlier one said of its keys is forgotten."""
    async with database.connection() as db:
        await db.execute("DELETE FROM master_key_holders")
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *FACEGATE,
            *("run", "--config", str(place.site_file)),
            stdout=out,
            stderr=out,
            env=os.environ | (environ or {}),
        )
    try:
        yield
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def held(database: Database, at_least: int) -> set[str]:
    """The keys that the gateway says it has, once there are so many."""
    async with asyncio.timeout(60):
        while True:
            async with database.connection() as db:
                rows = await db.fetch("SELECT key_ids FROM master_key_holders")
            if rows and len(rows[0]["key_ids"]) >= at_least:
                return set(rows[0]["key_ids"])
            await asyncio.sleep(0.1)


async def only(database: Database, key_id: str) -> None:
    async with asyncio.timeout(20):
        while await held(database, 1) != {key_id}:
            await asyncio.sleep(0.1)


async def test_a_running_gateway_takes_up_the_new_key_by_itself(
    used: Place, database: Database, tmp_path: Path
):
    log = tmp_path / "log"
    async with gateway(used, database, log):
        (old,) = await held(database, 1)
        shown, _ = await used.run("keys", "rotate")
        (new,) = set(re.findall(r"[0-9a-f]{16}", shown))
        assert new != old
        assert "5 keys were wrapped" in shown
        await only(database, new)
    text = log.read_text()
    assert "master_keys_read_again" in text
    for trouble in ("MASTER_KEY_IS_WRONG", "template_does_not_open", "Traceback"):
        assert trouble not in text
    async with gateway(used, database, log):
        await only(database, new)


async def test_a_gateway_with_a_systemd_credential_is_restarted_while_it_is_waited_for(
    place: Place, database: Database, tmp_path: Path
):
    lent, source, log = tmp_path / "credentials", tmp_path / "etc" / "master.key", tmp_path / "log"
    service, shell = {"CREDENTIALS_DIRECTORY": str(lent)}, {ENVIRONMENT: str(source)}
    place.put(ANOTHER, path=source)
    place.put(ANOTHER, 0o440, path=lent / CREDENTIAL)
    async with gateway(place, database, log, service):
        (old,) = await held(database, 1)
        await fill(database, await place_ring(place, shell), 3)
        _, told = await place.run("keys", "rotate", "--wait", "3", environ=shell, expect=2)
        assert "[gateways_lack_the_key]" in told
        assert "restarted" in told
    place.put(source.read_bytes(), 0o440, path=lent / CREDENTIAL)  # systemd, at the service's start
    async with gateway(place, database, log, service):
        assert old in await held(database, 2)
        shown, _ = await place.run("keys", "rotate", environ=shell)
        assert "5 keys were wrapped" in shown
    place.put(source.read_bytes(), 0o440, path=lent / CREDENTIAL)
    async with gateway(place, database, log, service):
        await only(database, re.findall(r"[0-9a-f]{16}", shown)[0])
    assert "MASTER_KEY_IS_WRONG" not in log.read_text()


async def place_ring(place: Place, environ: dict[str, str]):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        return await place.start()
