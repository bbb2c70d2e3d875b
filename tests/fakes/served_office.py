"""The API on a port of its own, asked byte by byte, with a key that may everything."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.api.server import listening
from gateway.domain.accounts import Actor, Role
from gateway.settings import Api
from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig
from tests.fakes.raw_http import Said, request, send

ROOT = Actor(id="command:root", roles=frozenset(Role))
JSON = b"Content-Type: application/json"
SCIM = b"Content-Type: application/scim+json"


@dataclass
class Served:
    office: OfficeRig
    port: int
    key: bytes
    """A header."""
    key_id: str

    async def ask(self, method: str, target: bytes | str, *headers: bytes, body: bytes = b"") -> Said:
        return await send(self.port, request(method, target, self.key, *headers, body=body))

    async def session(self, *roles: Role) -> tuple[str, str]:
        """A new account, and the token of a session of it."""
        services = self.office.office.services()
        login = f"ada{len(await services.accounts.all())}"
        made = await services.accounts.create(
            ROOT, login=login, name="A", roles=frozenset(roles), password=None
        )
        return made.account_id, (await services.sign_in.open(made, "127.0.0.1")).token


@contextlib.asynccontextmanager
async def served_office(database: Database) -> AsyncIterator[Served]:
    async with office_rig(database, real_callers=True) as office:
        key, token = await office.office.services().keys.create(
            ROOT, name="k", roles=frozenset(Role), scopes=frozenset(), expires_at=None
        )
        async with listening(Api(port=0), office.office.application()) as port:
            yield Served(office, port, b"Authorization: Bearer " + token.encode(), key.key_id)
