"""Signing in, keys, and those who try to get in without."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlparse

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from gateway.api.catalogue import Services
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import InvalidInput, Rejected
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig

ROOT = Actor(id="command:root", roles=frozenset(Role))
PASSWORD = "correct horse battery"  # noqa: S105  # of nobody
SESSION = "/api/v1/session"


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database, real_callers=True) as rig:
        yield rig


@pytest.fixture
def services(office: OfficeRig) -> Services:
    return office.office.services()


async def account(services: Services, login: str = "ada", *roles: Role) -> str:
    made = await services.accounts.create(
        ROOT, login=login, name="A", roles=frozenset(roles or {Role.ADMINISTRATOR}), password=PASSWORD
    )
    return made.account_id


async def sign_in(office: OfficeRig, login: str = "ada", password: str = PASSWORD, **more: str):
    return await office.client.post(SESSION, json={"login": login, "password": password, **more})


async def test_a_session_is_a_cookie_no_script_can_read_and_changes_need_its_token(
    office: OfficeRig, services: Services
):
    await account(services)
    opened = await sign_in(office)
    assert opened.status == 201
    cookie = opened.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    csrf = (await opened.json())["csrf"]
    assert (await office.client.get("/api/v1/people")).status == 200
    person = {"number": "1", "name": "P"}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": csrf[:-1] + "x"}):
        refused = await office.client.post("/api/v1/people", json=person, headers=headers)
        assert (refused.status, (await refused.json())["code"]) == (403, "csrf")
    assert (
        await office.client.post("/api/v1/people", json=person, headers={"X-CSRF-Token": csrf})
    ).status == 201
    assert (await (await office.client.get(SESSION)).json())["csrf"] == csrf


async def test_each_sign_in_is_a_new_token_and_signing_out_ends_it(office: OfficeRig, services: Services):
    await account(services)
    first = (await sign_in(office)).cookies["facegate"].value
    second = (await sign_in(office)).cookies["facegate"].value
    assert first != second
    csrf = (await (await office.client.get(SESSION)).json())["csrf"]
    assert (await office.client.delete(SESSION, headers={"X-CSRF-Token": csrf})).status == 204
    office.client.session.cookie_jar.clear()
    again = await office.client.get(SESSION, headers={"Cookie": f"facegate={second}"})
    assert again.status == 401


async def test_whatever_is_wrong_the_answer_is_the_same(office: OfficeRig, services: Services):
    await account(services)
    said = []
    for login, password in (("ada", "wrong password!"), ("nobody", PASSWORD), ("ada\x00", PASSWORD)):
        refused = await sign_in(office, login, password)
        body = await refused.json()
        said.append((refused.status, body["code"], body["detail"]))
    assert len(set(said)) == 1
    assert said[0][:2] == (401, "sign_in_refused")
    written = b"".join(c for _, c in office.journal.events)
    assert b"nobody@" not in written
    assert b"wrong password" not in written
    assert sum(a["action"] == "session.refused" for a in office.actions()) == 3


async def test_a_login_nobody_has_costs_as_much_as_a_wrong_password(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    checked: list[str] = []
    hasher = type(services.sign_in.passwords)
    known = hasher._matches

    def counted(self: object, password_hash: str, password: str) -> bool:
        checked.append(password_hash[:9])
        return known(self, password_hash, password)  # type: ignore[arg-type]

    monkeypatch.setattr(hasher, "_matches", counted)
    assert await services.sign_in.passwords.check(None, "x") == (False, None)
    assert await services.sign_in.passwords.check(None, "nobody's") == (False, None)
    assert checked == ["$argon2id", "$argon2id"]


async def test_guessing_many_at_once_is_counted_before_it_is_checked(services: Services):
    await account(services)
    tries = [services.sign_in.sign_in("ada", f"guess number {i}!", None, "10.0.0.1") for i in range(12)]
    await asyncio.gather(*tries, return_exceptions=True)
    with pytest.raises(Exception, match="too many tries"):
        await services.sign_in.sign_in("ada", PASSWORD, None, "10.0.0.1")
    async with services.sign_in.accounts.database.connection() as db:  # type: ignore[attr-defined]
        row = await db.fetchrow("SELECT failures, locked_until > now() AS locked FROM accounts")
        assert row["locked"]
        assert 5 <= row["failures"] <= 12
        await db.execute("UPDATE accounts SET locked_until = now() - interval '1 second'")
    assert (await services.sign_in.sign_in("ada", PASSWORD, None, "10.0.0.1")).account.login == "ada"


async def test_one_address_may_not_try_for_ever(office: OfficeRig):
    for i in range(60):
        status = (await sign_in(office, f"user{i}", "some password 123")).status
        if status == 429:
            break
        assert status == 401
    assert 10 <= i < 59


async def totp_of(office: OfficeRig) -> tuple[TOTP, dict[str, str]]:
    csrf = {"X-CSRF-Token": (await (await office.client.get(SESSION)).json())["csrf"]}
    proof = {"json": {"password": PASSWORD}, "headers": csrf}
    uri = (await (await office.client.post(f"{SESSION}/totp", **proof)).json())["uri"]
    secret = parse_qs(urlparse(uri).query)["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return TOTP(key, 6, SHA1(), 30), csrf  # noqa: S303  # what authenticator apps speak


async def test_a_one_time_code_works_once_and_a_password_alone_no_more(office: OfficeRig, services: Services):
    await account(services)
    await sign_in(office)
    totp, csrf = await totp_of(office)
    now = int(datetime.now(UTC).timestamp())
    early = totp.generate(now - 30).decode()
    wrong = await office.client.put(f"{SESSION}/totp", json={"code": "000000"}, headers=csrf)
    assert (wrong.status, (await wrong.json())["code"]) == (409, "code_refused")
    again = await sign_in(office)  # not in force before it is proven
    csrf = {"X-CSRF-Token": (await again.json())["csrf"]}
    assert (await office.client.put(f"{SESSION}/totp", json={"code": early}, headers=csrf)).status == 204
    assert (await sign_in(office)).status == 401
    assert (await sign_in(office, code=early)).status == 401
    code = totp.generate(now).decode()
    assert (await sign_in(office, code=code)).status == 201
    assert (await sign_in(office, code=code)).status == 401
    async with office.office.ground.stores.database.connection() as db:
        row = await db.fetchrow("SELECT * FROM accounts")
    assert totp.generate(now) not in bytes(row["totp_sealed"])


async def test_a_stolen_session_changes_neither_password_nor_codes(office: OfficeRig, services: Services):
    await account(services)
    await sign_in(office)
    totp, csrf = await totp_of(office)
    wrong = {"json": {"password": "not " + PASSWORD}, "headers": csrf}
    assert (await office.client.post(f"{SESSION}/totp", **wrong)).status == 401
    new = {"json": {"password": "not it", "new_password": "quite another phrase"}, "headers": csrf}
    assert (await office.client.put(f"{SESSION}/password", **new)).status == 401
    now = int(datetime.now(UTC).timestamp())
    code = {"code": totp.generate(now - 30).decode()}
    assert (await office.client.put(f"{SESSION}/totp", json=code, headers=csrf)).status == 204
    alone = {"json": {"password": PASSWORD}, "headers": csrf}
    assert (await office.client.post(f"{SESSION}/totp", **alone)).status == 401, "another secret takes a code"


async def test_people_change_their_own_password_and_their_other_sessions_end(
    office: OfficeRig, services: Services
):
    who = await account(services)
    other = await services.sign_in.open(await services.accounts.get(who), "127.0.0.1")
    csrf = {"X-CSRF-Token": (await (await sign_in(office)).json())["csrf"]}
    weak = {"password": PASSWORD, "new_password": "short"}
    assert (await office.client.put(f"{SESSION}/password", json=weak, headers=csrf)).status == 422
    good = {"password": PASSWORD, "new_password": "quite another phrase"}
    changed = await office.client.put(f"{SESSION}/password", json=good, headers=csrf)
    assert (changed.status, (await changed.json())["id"]) == (200, f"account:{who}")
    assert await services.sign_in.by_session(other.token, "127.0.0.1") is None
    assert (await office.client.get(SESSION)).status == 200, "the answer began a new one"
    assert (await sign_in(office)).status == 401
    written = b"".join(c for _, c in office.journal.events)
    assert b"account.password" in written
    assert b"another phrase" not in written


@pytest.mark.parametrize("login", ["", " ", "a b", "a/b", "-a", "x" * 201, "a\n", "a\u202e"])
async def test_a_login_that_nobody_can_type_is_refused(services: Services, login: str):
    with pytest.raises(InvalidInput) as refused:
        await account(services, login)
    assert refused.value.code == "bad_login"


async def test_sessions_end_with_the_password_the_rights_or_the_account(
    office: OfficeRig, services: Services
):
    await account(services, "root")
    for change in (
        {"password": "another long secret"},
        {"roles": frozenset({Role.GUARD})},
        {"disabled": True},
    ):
        who = await account(services, "u" + "-".join(change), Role.HR, Role.GUARD)
        opened = await services.sign_in.open(await services.accounts.get(who), "127.0.0.1")
        assert await services.sign_in.by_session(opened.token, "127.0.0.1") is not None
        await services.accounts.change(ROOT, who, **change)  # type: ignore[arg-type]
        assert await services.sign_in.by_session(opened.token, "127.0.0.1") is None, change


async def test_an_idle_or_old_session_has_ended(services: Services, database: Database):
    opened = await services.sign_in.open(await services.accounts.get(await account(services)), "")
    for column in ("seen_at", "expires_at"):
        async with database.connection() as db:
            await db.execute("UPDATE sessions SET seen_at = now(), expires_at = now() + interval '1 hour'")
            assert await services.sign_in.by_session(opened.token, "") is not None
            await db.execute(f"UPDATE sessions SET {column} = now() - interval '31 minutes'")  # noqa: S608
        assert await services.sign_in.by_session(opened.token, "") is None


async def test_the_last_administrator_stays(services: Services):
    who = await account(services)
    for change in ({"roles": frozenset({Role.HR})}, {"disabled": True}):
        with pytest.raises(Exception, match="last administrator"):
            await services.accounts.change(ROOT, who, **change)  # type: ignore[arg-type]
    other = await account(services, "bob")
    done = await asyncio.gather(
        services.accounts.change(ROOT, who, disabled=True),
        services.accounts.change(ROOT, other, disabled=True),
        return_exceptions=True,
    )
    assert sum(isinstance(d, Exception) for d in done) == 1


async def test_a_key_is_shown_once_and_kept_as_a_digest(office: OfficeRig, services: Services):
    _, token = await services.keys.create(
        ROOT, name="HR system", roles=frozenset({Role.HR}), scopes=frozenset({"people:read"}), expires_at=None
    )
    assert re.fullmatch(r"fgk_[\w-]{43}[0-9a-f]{8}", token)
    async with office.office.ground.stores.database.connection() as db:
        row = dict(await db.fetchrow("SELECT * FROM api_keys"))
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    assert token[4:40] not in str(row)
    assert token[4:40].encode() not in b"".join(c for _, c in office.journal.events)
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await office.client.get("/api/v1/people", headers=bearer)).status == 200
    too_much = await office.client.post("/api/v1/people", json={"number": "1", "name": "P"}, headers=bearer)
    assert too_much.status == 403
    assert (await office.client.get("/api/v1/accounts", headers=bearer)).status == 403


async def test_a_key_that_ended_was_revoked_or_is_misspelt_is_nobody(office: OfficeRig, services: Services):
    roles = frozenset({Role.HR})
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, ended = await services.keys.create(ROOT, name="a", roles=roles, scopes=frozenset(), expires_at=past)
    key, revoked = await services.keys.create(
        ROOT, name="b", roles=roles, scopes=frozenset(), expires_at=None
    )
    assert (
        await office.client.get("/api/v1/people", headers={"Authorization": f"Bearer {revoked}"})
    ).status == 200
    await services.keys.revoke(ROOT, key.key_id)
    slip = revoked[:-1] + ("0" if revoked[-1] != "0" else "1")
    for bad in (f"Bearer {ended}", f"Bearer {revoked}", f"Bearer {slip}", "Bearer", "Basic YTpi", ""):
        assert (await office.client.get("/api/v1/people", headers={"Authorization": bad})).status == 401, bad


async def test_nobody_gives_more_than_they_have(services: Services):
    hr = Actor(id="account:1", roles=frozenset({Role.HR}))
    with pytest.raises(Exception, match="no role that its maker lacks"):
        await services.keys.create(
            hr, name="x", roles=frozenset({Role.GUARD}), scopes=frozenset(), expires_at=None
        )
    with pytest.raises(Exception, match="is none of"):
        await services.keys.create(
            ROOT, name="x", roles=frozenset({Role.HR}), scopes=frozenset({"all"}), expires_at=None
        )


async def test_hr_makes_no_account_at_all(office: OfficeRig, services: Services):
    await account(services, "hr", Role.HR)
    csrf = (await (await sign_in(office, "hr")).json())["csrf"]
    refused = await office.client.post(
        "/api/v1/accounts",
        json={"login": "eve", "name": "E", "roles": ["administrator"], "password": PASSWORD},
        headers={"X-CSRF-Token": csrf},
    )
    assert refused.status == 403


@pytest.mark.parametrize("password", ["short", "passwordpassword"[:12], "adaadaadaada12", "aaaaaaaaaaaaaaaa"])
async def test_a_password_that_is_tried_first_is_refused(services: Services, password: str):
    with pytest.raises(Exception, match="password:"):
        await services.accounts.create(
            ROOT, login="ada", name="A", roles=frozenset({Role.HR}), password=password
        )
    assert await services.accounts.all() == []


async def test_every_change_of_rights_is_on_record_with_before_and_after(
    office: OfficeRig, services: Services
):
    await account(services, "root")
    who = await account(services, "hr", Role.HR)
    await services.accounts.change(ROOT, who, roles=frozenset({Role.GUARD}))
    last = office.actions()[-1]
    assert (last["action"], last["target"], last["actor"]) == (
        "account.change",
        f"account:{who}",
        "command:root",
    )
    assert (last["before"]["roles"], last["after"]["roles"]) == (["hr"], ["guard"])  # type: ignore[index]
    office.journal.full = True
    with pytest.raises(Exception, match="full"):
        await services.accounts.change(ROOT, who, roles=frozenset({Role.ADMINISTRATOR}))
    assert (await services.accounts.get(who)).roles == {Role.GUARD}
    opened = await sign_in(office, "root")
    assert opened.status == 503


async def test_a_key_makes_no_wider_key_and_an_administrator_any(office: OfficeRig, services: Services):
    office_key, narrow = frozenset({Role.ADMINISTRATOR}), frozenset({"accounts:write", "people:read"})
    person, key = Actor(id="account:1", roles=office_key), Actor(id="key:1", roles=office_key, scopes=narrow)
    new = {"name": "k", "roles": frozenset({Role.HR}), "expires_at": None}
    assert (await services.keys.create(person, scopes=frozenset(), **new))[0].roles == {Role.HR}
    assert (await services.keys.create(key, scopes=frozenset({"people:read"}), **new))[0].scopes
    for scopes in (frozenset(), frozenset({"people:write"})):
        with pytest.raises(Rejected) as refused:
            await services.keys.create(key, scopes=scopes, **new)
        assert refused.value.code == "beyond_own_rights"
    with pytest.raises(Rejected):
        await services.keys.create(Actor(id="account:2", roles=frozenset({Role.GUARD})), scopes=narrow, **new)
