"""The API against a fuzzer that has read its description: with and without a key, all checks.

A short run each time, another seed every time; what it finds it prints with the request to repeat it.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.api.problems import Refusal
from gateway.storage.pool import Database
from tests.fakes.office import office_rig

ROOT = Path(__file__).parents[2]
KEY = "fgk_fuzzed"
TIME_S = 15


@pytest.mark.parametrize("with_key", [True, False])
async def test_every_answer_is_as_described(database: Database, with_key: bool):
    async with office_rig(database) as rig:
        known = rig.identify

        async def identify(request):
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                raise Refusal("sign in first", code="unauthenticated")
            return await known(request)

        rig.identify = identify  # type: ignore[method-assign]
        found = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file",
            "tests/schemathesis.toml",
            "run",
            "schemas/openapi.yaml",
            "--url",
            str(rig.client.make_url("")),
            "--checks",
            "all",
            "--max-time",
            str(TIME_S if with_key else TIME_S // 3),
            *(["-H", f"Authorization: Bearer {KEY}"] if with_key else []),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(found.communicate(), 110)
        assert found.returncode == 0, said.decode()[:8000]
        assert b" passed" in said
