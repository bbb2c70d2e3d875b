"""Cameras behind TLS: only a certificate that is trusted, and of this host, is believed."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.cameras import open_source
from gateway.domain.errors import CameraUnavailable
from gateway.settings import Camera
from tests.fakes.camera_thread import CameraThread, film


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{address}.pem", folder / f"{address}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return pem, secret


class Front:
    """TLS in front of a camera's ports, on the camera's loop."""

    def __init__(self, thread: CameraThread, pem: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem, key)
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        camera = thread.camera
        self.rtsps = "rtsps" + thread.run(self._before(camera.rtsp_url)).removeprefix("rtsp")
        self.https = "https" + thread.run(self._before(camera.mjpeg_url)).removeprefix("http")

    async def _before(self, url: str) -> str:
        port = url.split(":")[2].split("/", maxsplit=1)[0]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            there, back = await asyncio.open_connection("127.0.0.1", int(port))
            ends = [asyncio.create_task(copy(*pair)) for pair in ((reader, back), (there, writer))]
            try:  # a cancellation may come at any of these waits: both ends are let go of all the same
                with suppress(asyncio.CancelledError):
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
            finally:
                back.transport.abort()
                writer.transport.abort()
                self._tasks.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=self._context)
        self._servers.append(server)
        return url.replace(port, str(server.sockets[0].getsockname()[1]))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.1)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.fixture(scope="module")
def thread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraThread]:
    with CameraThread(film(tmp_path_factory.mktemp("film") / "numbered.mp4")) as running:
        yield running


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
@pytest.mark.parametrize("case", ["trusted", "unknown", "of another host"])
def test_whose_certificate_is_believed(
    thread: CameraThread, scheme: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, key = certificate(tmp_path, "192.0.2.1" if case == "of another host" else "127.0.0.1")
    if case != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    front = Front(thread, pem, key)
    try:
        url = front.rtsps if scheme == "rtsps" else front.https
        with closing(open_source(Camera(id="c", url=url, open_timeout_s=4.0))) as source:
            if case == "trusted":
                source.open()
                assert source.read() is not None
            else:
                with pytest.raises(CameraUnavailable, match="its certificate is not trusted"):
                    source.open()
    finally:
        thread.run(front.close())
