"""Every endpoint asked by every role, by nobody, and by keys of too small a scope."""

from collections.abc import AsyncIterator

import pytest

from gateway.domain.accounts import Role
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database) as rig:
        yield rig


async def asked(office: OfficeRig, method: str, path: str) -> int:
    said = await office.client.request(method, path.replace("{", "").replace("}", ""))
    await said.read()
    return said.status


async def test_no_endpoint_is_reachable_below_its_role(office: OfficeRig):
    walked = 0
    for route in office.routes:
        office.signed_in = False
        status = await asked(office, route.method, route.path)
        assert (status == 401) is (route.roles is not None), route.path
        office.signed_in = True
        for role in Role:
            office.roles = frozenset({role})
            status = await asked(office, route.method, route.path)
            allowed = route.roles is None or role in route.roles
            assert (status == 403) is not allowed, (role, route.method, route.path, status)
            assert status != 500
            walked += 1
    assert walked == len(office.routes) * len(Role)


async def test_a_key_without_the_scope_may_nothing_that_has_one(office: OfficeRig):
    office.scopes = frozenset({"something:else"})
    for route in office.routes:
        status = await asked(office, route.method, route.path)
        assert (status == 403) is (route.roles is not None), route.path


async def test_every_route_that_is_not_public_asks_for_a_scope(office: OfficeRig):
    for route in office.routes:
        assert route.roles is None or route.scope or "session" in route.path, route.path
