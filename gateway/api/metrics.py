"""``GET /metrics``: how the gateway is, for Prometheus."""

import contextlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.domain.errors import ConfigError
from gateway.settings import Metrics

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def serving(settings: Metrics, registry: CollectorRegistry) -> AsyncIterator[int]:
    """Serve from entry to exit; yields the port. Raises ConfigError for an address that cannot be had."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"metrics: {settings.host}:{settings.port} cannot be listened on ({error.strerror}); "
                "choose another port"
            ) from error
        port = runner.addresses[0][1]
        _log.info("metrics_served", host=settings.host, port=port)
        yield port
    finally:
        await runner.cleanup()
