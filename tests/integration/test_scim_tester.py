"""scim2-tester, the compliance checks of the python-scim project, against the API on a loopback port."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from gateway.storage.pool import Database
from tests.fakes.office import OfficeRig, office_rig

scim2_client = pytest.importorskip("scim2_client", reason="scim2-client is not installed")
scim2_tester = pytest.importorskip("scim2_tester", reason="scim2-tester is not installed")


@dataclass
class Said:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client(scim2_client.BaseSyncSCIMClient):  # type: ignore[misc,name-defined]
    """scim2-client over the standard library: what it brings itself needs packages that are not used here."""

    base = token = ""

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return endpoint.startswith(("/", self.base)) or "://" not in endpoint

    def _parse_json(self, response: Said) -> Any:
        return response.json()

    def request(self, method: str, url: str, **given: Any) -> Said:
        where = url if "://" in url else self.base + url
        if given.get("params"):
            where += "?" + urllib.parse.urlencode(given["params"], doseq=True)
        headers = {"Authorization": f"Bearer {self.token}", **(given.get("headers") or {})}
        body = None
        if given.get("json") is not None:
            body = json.dumps(given["json"]).encode()
            headers.setdefault("Content-Type", "application/scim+json")
        asked = urllib.request.Request(where, data=body, method=method, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(asked, timeout=30) as said:  # noqa: S310
                return Said(said.status, {k.lower(): v for k, v in said.headers.items()}, said.read())
        except urllib.error.HTTPError as error:
            return Said(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


@pytest.fixture
async def office(database: Database) -> AsyncIterator[OfficeRig]:
    async with office_rig(database) as rig:
        yield rig


def checks(base: str, token: str) -> list[Any]:
    client = Client()
    client.base, client.token = base, token
    return list(scim2_tester.check_server(client))


async def test_every_check_of_scim2_tester_passes(office: OfficeRig):
    made = await office.client.post(
        "/api/v1/api-keys", json={"name": "directory", "roles": ["hr"], "scopes": ["scim"]}
    )
    token = (await made.json())["token"]
    async with TestServer(office.office.application()) as server:
        results = await asyncio.to_thread(checks, str(server.make_url("/scim/v2")), token)
    for result in results:
        row = f"{result.status.name:8} {result.resource_type or '':6} {result.title}: {result.reason}"
        print(row)  # noqa: T201
    wrong = [f"{r.title}: {r.reason}" for r in results if r.status.name not in {"SUCCESS", "SKIPPED"}]
    assert not wrong, "\n".join(wrong)
    skipped = {r.title for r in results if r.status.name == "SKIPPED"}
    assert skipped == set()
    assert len(results) > 50
