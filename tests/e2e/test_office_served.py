"""A whole gateway with its API: HR enrols, changes and erases somebody who stands at the door."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from drivers.simulators.camera import SimulatedCamera
from drivers.simulators.door_controller import DoorController
from gateway.app import running
from gateway.commands import commanding
from gateway.domain.accounts import Role
from gateway.domain.errors import ConfigError
from gateway.rehearsal import ledger
from gateway.rehearsal.portraits import Portrait
from gateway.rehearsal.stage import Staging, site, until_ready
from gateway.running_gateway import Gateway, Watch
from gateway.security.passwords import ArgonPasswords
from gateway.services.accounts import Accounts
from gateway.settings import Api, Camera, Site
from gateway.walkup.decided import Decided
from tests.e2e import oracle
from tests.e2e.test_faults import Film, until
from tests.fakes.certificates import Authority

LOGIN, PASSWORD = "hr@example.org", "a long phrase nobody guesses"


class Hr:
    """A browser of HR, signed in."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session, self.base, self.csrf = session, base, ""

    async def ask(self, method: str, path: str, expect: int = 200, **more: Any) -> Any:
        headers = {"X-CSRF-Token": self.csrf, **more.pop("headers", {})}
        async with self.session.request(method, self.base + path, headers=headers, **more) as said:
            assert said.status == expect, (said.status, await said.text())
            return await said.json() if said.content_type.endswith("json") else await said.read()

    async def sign_in(self) -> None:
        said = await self.ask("POST", "/session", 201, json={"login": LOGIN, "password": PASSWORD})
        self.csrf = said["csrf"]

    async def consenting(self, number: str, name: str) -> str:
        if not (await self.ask("GET", "/consent-texts"))["items"]:
            text = {"version": "1", "language": "en", "body": "I agree."}
            await self.ask("POST", "/consent-texts", 201, json=text)
        person = await self.ask("POST", "/people", 201, json={"number": number, "name": name})
        given = {"text_version": "1", "how": "paper"}
        await self.ask("POST", f"/people/{person['id']}/consents", 201, json=given)
        return str(person["id"])

    async def enrol(self, portrait: Portrait) -> str:
        who = await self.consenting("1", portrait.name)
        form = aiohttp.FormData()
        form.add_field("photograph", portrait.png(), content_type="image/png", filename="a.png")
        await self.ask("POST", f"/people/{who}/photographs", 201, data=form)
        return who


@pytest.fixture
async def settings(walk_up: Film, state: Path) -> AsyncIterator[tuple[Site, DoorController, Path]]:
    authority = Authority("site")
    pair = authority.issue(state, "gateway", host="localhost")
    trust = state / "site-ca.pem"
    trust.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    async with SimulatedCamera(walk_up[0]) as camera, DoorController() as board:
        lens = Camera(
            id="camera", url=camera.rtsp_url, open_timeout_s=3, read_timeout_s=2, frozen_after_s=1.0
        )
        api = Api(port=0, certificate_file=str(pair.certificate), key_file=str(pair.key))
        yield site(state, lens, board, Staging(pulse_ms=500, api=api)), board, trust


@contextlib.asynccontextmanager
async def hr_at(gateway: Gateway, trust: Path) -> AsyncIterator[Hr]:
    await until(lambda: gateway.api_port is not None, 30)
    context = ssl.create_default_context(cafile=str(trust))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Hr(session, f"https://localhost:{gateway.api_port}/api/v1")


async def add_hr(of: Site) -> None:
    async with commanding(of) as ground:
        accounts = Accounts(
            store=ground.stores.accounts,
            passwords=ArgonPasswords(),
            acted=ground.record.acted,
            clock=ground.clock,
        )
        await accounts.create(
            ground.actor,
            login=LOGIN,
            name="HR",
            password=PASSWORD,
            roles=frozenset({Role.HR, Role.ADMINISTRATOR}),
        )


async def test_somebody_is_enrolled_suspended_and_erased_while_they_walk_up(
    settings: tuple[Site, DoorController, Path], state: Path, collins: Portrait
):
    of, board, trust = settings
    await add_hr(of)
    decided: list[Decided] = []

    def said(kind: str, reason: str | None = None) -> Callable[[], bool]:
        before = len(decided)
        return lambda: any(d.kind == kind and d.reason == reason for d in decided[before:])

    async with running(of, Watch(decided=decided.append), roster_first=True) as gateway:
        await until_ready(gateway)
        async with hr_at(gateway, trust) as hr:
            assert (await hr.ask("GET", "/people", 401))["code"] == "unauthenticated"
            await hr.sign_in()
            health = await hr.ask("GET", "/health")
            assert health["ready"]
            assert {p["name"]: p["state"] for p in health["parts"]}["keys"] == "right"
            assert [d["link"] for d in (await hr.ask("GET", "/doors"))["items"]] == ["up"]
            await until(said("denied", "unknown_person"), 30)
            who = await hr.enrol(collins)
            await until(said("granted"), 30)
            person = f"/people/{who}"
            suspended = {"json": {"status": "suspended"}, "headers": {"If-Match": "*"}}
            await hr.ask("PATCH", person, **suspended)
            await until(said("denied", "person_not_active"), 30)
            receipt = await hr.ask("DELETE", person)
            assert receipt["destroyed"]["templates"] == 1
            await until(said("denied", "unknown_person"), 30)
            assert (await hr.ask("GET", person, 404))["code"] == "no_such_person"
            again = await hr.consenting("2", collins.name)
            look = {"access_point": "front-door"}
            made = await hr.ask("POST", f"/people/{again}/enrolment", 201, json=look)
            assert made["templates"] >= 1
            await until(said("granted"), 30)
    oracle.check(oracle.journal(state), board.edges)
    checked = await ledger.check(of)
    assert checked.whole, checked


async def test_the_api_comes_back_by_itself_and_doors_do_not_wait_for_it(
    settings: tuple[Site, DoorController, Path],
):
    of, _, trust = settings
    taken = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    assert of.api is not None
    of = msgspec.structs.replace(of, api=msgspec.structs.replace(of.api, port=port))
    async with running(of, roster_first=True) as gateway:
        await until_ready(gateway)
        assert gateway.api_port is None
        taken.close()
        await taken.wait_closed()
        async with hr_at(gateway, trust) as hr:
            assert (await hr.ask("GET", "/session", 401))["code"] == "unauthenticated"


async def test_a_certificate_that_cannot_be_used_is_said_at_start(
    settings: tuple[Site, DoorController, Path],
):
    of = settings[0]
    assert of.api is not None
    of = msgspec.structs.replace(of, api=msgspec.structs.replace(of.api, key_file="/nowhere/key.pem"))
    with pytest.raises(ConfigError, match="certificate_file"):
        async with running(of):
            pass
