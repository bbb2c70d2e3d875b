"""``/metrics`` over HTTP."""

import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.metrics import serving
from gateway.domain.errors import ConfigError
from gateway.settings import Metrics
from gateway.telemetry.clock import SystemClock
from gateway.telemetry.door_metrics import registry
from tests.unit.test_door_metrics import health


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_prometheus_can_read_it() -> None:
    found = registry(lambda: [health()], SystemClock())
    async with serving(Metrics(port=free_port()), found) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as reply:
            assert reply.status == 200
            text = await reply.text()
        async with session.get(f"http://127.0.0.1:{port}/other") as reply:
            assert reply.status == 404
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"facegate_door_link", "facegate_door_ready", "facegate_door_alarm"} <= names


async def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=r"metrics.*choose another port"):
            async with serving(Metrics(port=port), registry(list, SystemClock())):
                pass
