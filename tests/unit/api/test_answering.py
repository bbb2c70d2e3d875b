"""Answers that are streamed: whole or visibly not, and nobody who does not take them keeps anything open."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.api import answering
from gateway.api.frame import Frame
from gateway.api.limits import RateLimit
from gateway.api.routing import Answer, Call, Route
from gateway.api.server import listening
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Api
from gateway.telemetry.clock import SystemClock
from tests.fakes.idempotency import FakeIdempotency
from tests.fakes.raw_http import request

HR = frozenset({Role.HR})


class Files:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.closed = asyncio.Event()

    async def parts(self) -> AsyncIterator[bytes]:
        try:
            for i in range(1000):
                if i == 10 and self.error is not None:
                    raise self.error
                yield b"x" * 100_000
        finally:
            self.closed.set()

    async def read(self, _call: Call) -> Answer:
        return Answer(body=self.parts())


async def anybody(_request: object) -> Actor:
    return Actor(id="account:1", roles=HR)


async def served(files: Files) -> AsyncIterator[int]:
    frame = Frame(identify=anybody, requests=FakeIdempotency(), limit=RateLimit(SystemClock(), 1000, 1000))
    route = Route(method="GET", path="/file", handler=files.read, summary="s", tag="t", roles=HR)
    async with listening(Api(port=0), frame.application([route])) as port:
        yield port


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), KeyError("a bug")])
async def test_a_file_that_breaks_off_is_never_taken_for_the_whole(error: Exception):
    files = Files()
    files.error = error
    async for port in served(files):
        async with aiohttp.ClientSession() as session:
            said = await session.get(f"http://127.0.0.1:{port}/file")
            assert said.status == 200
            with pytest.raises(aiohttp.ClientError):
                await said.read()
        assert files.closed.is_set()


async def test_who_does_not_take_it_keeps_nothing_open(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answering, "TAKE_S", 0.2)
    files = Files()
    async for port in served(files):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(request("GET", "/file"))
        async with asyncio.timeout(10):
            await files.closed.wait()
        writer.close()
        assert reader


async def test_who_goes_away_keeps_nothing_open():
    files = Files()
    async for port in served(files):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        writer.write(request("GET", "/file"))
        await asyncio.sleep(0.2)
        writer.close()
        async with asyncio.timeout(10):
            await files.closed.wait()
