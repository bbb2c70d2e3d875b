"""Who says nothing, and who takes all the room."""

import asyncio

import pytest
from aiohttp import web

from gateway.api import conversation
from gateway.api.answering import outermost
from gateway.api.conversation import Room
from gateway.api.server import listening
from gateway.settings import Api
from tests.fakes.raw_http import request, said_on, send


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


def application() -> web.Application:
    made = web.Application(middlewares=[outermost])
    made.router.add_get("/", hello)
    return made


def test_there_is_room_for_so_many_and_for_so_many_of_one_address():
    room = Room(most=3, most_each=2)
    assert [room.enter(a) for a in ("a", "a", "a", "b", "c")] == [True, True, False, True, False]
    room.leave("a")
    assert [room.enter("c"), room.enter("a")] == [True, False]
    for who in ("a", "b", "c"):
        room.leave(who)
    assert not room._there


async def test_connections_that_say_nothing_whole_are_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversation, "IDLE_S", 0.3)
    async with listening(Api(port=0), application()) as port, asyncio.timeout(10):
        for said in (b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n", request("GET", "/")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            if said.endswith(b"\r\n\r\n"):
                assert (await said_on(reader)).body == b"hello"
                writer.write(b"GET / HT")  # and never more
            assert await reader.read() == b""
            writer.close()


async def test_one_address_does_not_take_all_connections_and_gives_them_back():
    async with listening(Api(port=0), application()) as port, asyncio.timeout(20):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(conversation.MOST_EACH)]
        assert (await send(port, request("GET", "/"))).status == 0
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        said = await send(port, request("GET", "/"))
        assert (said.status, said.headers["server"]) == (200, "facegate")
