"""Every endpoint asked by every role, by nobody, and by keys of too small a scope."""

from collections.abc import AsyncIterator

import pytest

from gateway.api.routing import Route
from gateway.api.scim.table import ScimRoute, ScimRoutes
from gateway.domain.accounts import Role, Scope
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database) as rig:
        yield rig


def everything(office: OfficeRig) -> list[Route | ScimRoute]:
    services = office.office.services()
    return [*office.routes, *ScimRoutes(services.staff, services.profiles).table()]


async def asked(office: OfficeRig, method: str, path: str) -> int:
    said = await office.client.request(method, path.replace("{", "").replace("}", ""))
    await said.read()
    return said.status


async def test_no_endpoint_is_reachable_below_its_role(office: OfficeRig):
    walked = 0
    for route in everything(office):
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
    assert walked == len(everything(office)) * len(Role)


async def test_a_key_without_the_scope_may_nothing_that_has_one(office: OfficeRig):
    office.scopes = frozenset({"something:else"})
    for route in everything(office):
        status = await asked(office, route.method, route.path)
        assert (status == 403) is (route.roles is not None and route.scope != ""), route.path


async def test_every_route_that_is_not_public_asks_for_a_scope(office: OfficeRig):
    for route in everything(office):
        assert route.roles is None or route.scope in frozenset(Scope) or "session" in route.path, route.path


async def test_no_path_of_scim_says_anything_to_nobody(office: OfficeRig):
    office.signed_in = False
    for method, path in (("DELETE", "/scim/v2/Users"), ("GET", "/scim/v2/Nothing"), ("PUT", "/scim/v2/Me")):
        said = await office.client.request(method, path)
        assert (said.status, said.headers["WWW-Authenticate"]) == (401, 'Bearer realm="facegate"')
        assert said.content_type == "application/scim+json"
