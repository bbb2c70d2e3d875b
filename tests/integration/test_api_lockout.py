"""Whoever guesses passwords is slowed down; whoever has the right one still gets in where they always do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.api.catalogue import Services
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import Rejected
from gateway.storage.accounts import PostgresAccounts
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig

ROOT = Actor(id="command:root", roles=frozenset(Role))
PASSWORD = "correct horse battery"  # noqa: S105  # of nobody
NEW = "another long secret"
HOME, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database, real_callers=True) as rig:
        yield rig


@pytest.fixture
async def services(office: OfficeRig) -> Services:
    made = office.office.services()
    await made.accounts.create(
        ROOT, login="ada", name="A", roles=frozenset({Role.ADMINISTRATOR}), password=PASSWORD
    )
    return made


async def tried(services: Services, address: str, password: str = PASSWORD) -> bool:
    try:
        await services.sign_in.sign_in("ada", password, None, address)
    except Rejected as error:
        assert error.code == "sign_in_refused"  # noqa: PT017
        return False
    return True


async def test_who_guesses_elsewhere_does_not_lock_the_administrator_out(services: Services):
    assert await tried(services, HOME)
    for i in range(9):
        await tried(services, ELSEWHERE if i % 2 else f"203.0.113.{i}", "a wrong guess")
    assert not await tried(services, ELSEWHERE), "all strangers together are locked out, wherever"
    assert not await tried(services, "203.0.113.200")
    assert await tried(services, HOME)
    assert not await tried(services, ELSEWHERE), "and that the account signed in does not let them on"


async def test_guessing_where_the_account_signs_in_is_slowed_down_as_well(
    services: Services, database: Database
):
    assert await tried(services, HOME)
    for _ in range(6):
        await tried(services, HOME, "a wrong guess")
    assert not await tried(services, HOME)
    assert await tried(services, ELSEWHERE), "another address is not held responsible"
    async with database.connection() as db:
        await db.execute("UPDATE proven_addresses SET locked_until = now() - interval '1 second'")
    assert await tried(services, HOME)
    for _ in range(4):
        assert not await tried(services, HOME, "a wrong guess")
    assert await tried(services, HOME), "a right one begins the count anew"


async def test_an_address_of_long_ago_is_a_stranger(services: Services, database: Database):
    assert await tried(services, HOME)
    async with database.connection() as db:
        await db.execute("UPDATE proven_addresses SET proven_at = now() - interval '91 days'")
    for _ in range(5):
        await tried(services, ELSEWHERE, "a wrong guess")
    assert not await tried(services, HOME)


async def test_a_host_with_many_addresses_is_one(services: Services):
    assert await tried(services, "2001:db8:1:2::1")
    for i in range(6):
        await tried(services, f"2001:db8:9:9::{i}", "a wrong guess")
    assert await tried(services, "2001:db8:1:2:dead:beef::")


async def test_a_new_password_from_the_machine_itself_is_always_a_way_in(services: Services):
    assert await tried(services, HOME)
    for address in (HOME, ELSEWHERE):
        for _ in range(6):
            await tried(services, address, "a wrong guess")
    (account,) = await services.accounts.all()
    await services.accounts.change(ROOT, account.account_id, password=NEW)
    assert await tried(services, HOME, NEW)
    assert await tried(services, ELSEWHERE, NEW)


async def test_who_only_guesses_proves_no_address(services: Services, database: Database):
    for i in range(3):
        await tried(services, f"203.0.113.{i}", "a wrong guess")
    async with database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM proven_addresses") == 0


@pytest.mark.parametrize("change", [{"password": NEW}, {"disabled": True}, {"roles": {Role.HR}}])
async def test_a_session_never_begins_on_what_ended_while_it_was_checked(
    services: Services, monkeypatch: pytest.MonkeyPatch, database: Database, change: dict
):
    """The old password was right when it was looked at, and is not any more when the session would begin."""
    await services.accounts.create(
        ROOT, login="bob", name="B", roles=frozenset({Role.ADMINISTRATOR}), password=PASSWORD
    )
    (account,) = [a for a in await services.accounts.all() if a.login == "ada"]
    succeed = PostgresAccounts.succeed

    async def meanwhile(self: PostgresAccounts, *given: object, **more: object) -> bool:
        right = await succeed(self, *given, **more)  # type: ignore[arg-type]
        await services.accounts.change(ROOT, account.account_id, **change)
        return right

    monkeypatch.setattr(PostgresAccounts, "succeed", meanwhile)
    assert not await tried(services, HOME)
    async with database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM sessions") == 0


async def test_a_password_that_changed_meanwhile_is_not_changed_by_the_old_one(
    services: Services, monkeypatch: pytest.MonkeyPatch
):
    (account,) = await services.accounts.all()
    me = Actor(id=f"account:{account.account_id}", roles=account.roles, address=HOME)
    succeed = PostgresAccounts.succeed

    async def meanwhile(self: PostgresAccounts, *given: object, **more: object) -> bool:
        monkeypatch.undo()
        await services.accounts.change(ROOT, account.account_id, password=NEW)
        return await succeed(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresAccounts, "succeed", meanwhile)
    with pytest.raises(Rejected) as refused:
        await services.sign_in.change_password(me, PASSWORD, None, "set by the old one")
    assert refused.value.code == "version_differs"
    assert await tried(services, HOME, NEW)


async def test_sign_ins_and_changes_at_once_leave_no_session_of_an_old_password(
    services: Services, database: Database
):
    (account,) = await services.accounts.all()
    signing = [asyncio.create_task(tried(services, HOME)) for _ in range(6)]
    await asyncio.sleep(0.1)
    await services.accounts.change(ROOT, account.account_id, password=NEW)
    await asyncio.gather(*signing)
    async with database.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM sessions") == 0
