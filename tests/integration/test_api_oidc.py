"""Signing in at an identity provider, and those who forge what it says."""

import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.domain.accounts import Actor, Role
from gateway.settings import Oidc
from gateway.storage.pool import Database
from tests.fakes.identity_provider import CLIENT, FakeProvider, identity_provider
from tests.fakes.office import OfficeRig, office_rig

PATH = "/api/v1/session/oidc"


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with identity_provider() as fake:
        yield fake


@pytest.fixture
async def office(database: Database, provider: FakeProvider) -> AsyncIterator[OfficeRig]:
    oidc = Oidc(
        issuer=provider.issuer,
        client_id=CLIENT,
        redirect_uri="http://127.0.0.1/api/v1/session/oidc/callback",
        roles={"hr-team": "hr", "door-watch": "guard"},
    )
    async with office_rig(database, real_callers=True, oidc=oidc) as rig:
        yield rig


async def go(office: OfficeRig, provider: FakeProvider) -> dict[str, str]:
    sent = await office.client.get(PATH, allow_redirects=False)
    assert sent.status == 303
    assert "SameSite=Lax" in sent.headers["Set-Cookie"]
    return provider.browse(sent.headers["Location"])


async def come_back(office: OfficeRig, brought: dict[str, str]):
    return await office.client.get(f"{PATH}/callback", params=brought)


async def test_whom_the_provider_vouches_for_is_signed_in_with_their_role(
    office: OfficeRig, provider: FakeProvider
):
    back = await come_back(office, await go(office, provider))
    assert back.status == 200, await back.text()
    who = await (await office.client.get("/api/v1/session")).json()
    assert who["roles"] == ["hr"]
    assert (await office.client.get("/api/v1/people")).status == 200
    (made,) = await office.office.ground.stores.accounts.accounts()
    assert (made.login, made.external) == ("ada", True)


async def test_a_role_that_is_taken_away_there_is_gone_here_at_the_next_sign_in(
    office: OfficeRig, provider: FakeProvider
):
    await come_back(office, await go(office, provider))
    provider.claims["groups"] = ["door-watch", "something else"]
    await come_back(office, await go(office, provider))
    (account,) = await office.office.ground.stores.accounts.accounts()
    assert account.roles == {Role.GUARD}
    provider.claims["groups"] = []
    refused = await come_back(office, await go(office, provider))
    assert (refused.status, (await refused.json())["code"]) == (401, "sign_in_refused")


async def test_the_provider_does_not_take_over_a_local_account(office: OfficeRig, provider: FakeProvider):
    await office.office.services().accounts.create(
        Actor(id="command:root", roles=frozenset(Role)),
        login="ADA",
        name="A",
        roles=frozenset({Role.ADMINISTRATOR}),
        password="a long and good secret",  # noqa: S106  # of nobody
    )
    refused = await come_back(office, await go(office, provider))
    assert (refused.status, (await refused.json())["code"]) == (409, "login_taken")


@pytest.mark.parametrize(
    "forge",
    [
        lambda p: p.forged.update(nonce="another"),
        lambda p: p.forged.update(aud="another"),
        lambda p: p.forged.update(aud=[CLIENT, "another"], azp="another"),
        lambda p: p.forged.update(iss="https://evil.example"),
        lambda p: p.forged.update(exp=int(time.time()) - 120),
        lambda p: p.forged.update(sub=None),
        lambda p: setattr(p, "signs_with", type(p)().key),
        lambda p: setattr(p, "by_public_key", True),
    ],
    ids=["nonce", "audience", "party", "issuer", "expired", "nobody", "key", "algorithm"],
)
async def test_what_does_not_fit_is_not_believed(
    office: OfficeRig, provider: FakeProvider, forge: Callable[[FakeProvider], None]
):
    brought = await go(office, provider)
    forge(provider)
    refused = await come_back(office, brought)
    assert (refused.status, (await refused.json())["code"]) == (401, "sign_in_refused"), await refused.text()
    assert await office.office.ground.stores.accounts.accounts() == []


async def test_a_sign_in_that_was_begun_elsewhere_is_refused(office: OfficeRig, provider: FakeProvider):
    brought = await go(office, provider)
    assert (await come_back(office, {**brought, "state": "another"})).status == 401
    office.client.session.cookie_jar.clear()
    assert (await come_back(office, brought)).status == 401
    again = await go(office, provider)
    assert (await come_back(office, again)).status == 200
    assert (await come_back(office, again)).status == 401  # the code was used


async def test_without_a_provider_there_is_none(database: Database):
    async with office_rig(database, real_callers=True) as rig:
        said = await rig.client.get(PATH, allow_redirects=False)
        assert (said.status, (await said.json())["code"]) == (404, "no_such_provider")
