"""Where the API listens: with the site's certificate, or without one on loopback alone."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from aiohttp import web

from gateway.api.conversation import Room, conversations
from gateway.domain.errors import ConfigError, InvariantBroken
from gateway.settings import Api

_log = structlog.get_logger(__name__)

_CLOSE_S = 5.0
_HANDSHAKE_S = 10.0


def loopback(host: str) -> bool:
    """Nobody on the network can reach this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tls(settings: Api) -> ssl.SSLContext | None:
    """The site's certificate, TLS 1.2 and newer. Raises ConfigError naming key and fix."""
    if settings.certificate_file is None:
        if not loopback(settings.host):
            raise ConfigError(
                f"api: {settings.host} can be reached from the network: give certificate_file and key_file, "
                'or listen on host = "127.0.0.1"'
            )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(
            Path(settings.certificate_file),
            Path(settings.key_file or ""),
            password=str,  # without it a locked key would be asked for at the terminal
        )
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"api.certificate_file, api.key_file: cannot be used ({error.strerror or error}); both are PEM, "
            "and the key belongs to the certificate and has no passphrase"
        ) from error
    return context


@contextlib.asynccontextmanager
async def listening(settings: Api, application: web.Application) -> AsyncIterator[int]:
    """Serve from entry to exit; yields the port. Raises ConfigError for what cannot be listened on."""
    context = tls(settings)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSE_S)
    await runner.setup()
    sockets: asyncio.Server | None = None
    try:
        if runner.server is None:
            raise InvariantBroken("the API is set up and has no server")
        try:
            sockets = await asyncio.get_running_loop().create_server(
                conversations(runner.server, Room()),
                settings.host,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_S if context is not None else None,
            )
        except OSError as error:
            raise ConfigError(
                f"api: {settings.host}:{settings.port} cannot be listened on ({error.strerror}); "
                "choose another port"
            ) from error
        port: int = sockets.sockets[0].getsockname()[1]
        _log.info("api_served", host=settings.host, port=port, tls=context is not None)
        yield port
    finally:
        if sockets is not None:
            sockets.close()
        await runner.cleanup()
