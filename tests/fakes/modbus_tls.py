"""A device that speaks Modbus inside mutual TLS. Threads: asyncio's servers refuse without saying why."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.fakes.certificates import Files
from tests.fakes.modbus_units import Unit


@dataclass
class TlsDevice:
    port: int
    unit: Unit = field(default_factory=Unit)
    deaf: bool = False
    """Reads, and does nothing with it: what a half-open link looks like."""
    hang_up: bool = False
    """Ends each link right after the handshake."""
    pieces: int = 1
    """TLS records a reply is cut into."""
    requests: list[bytes] = field(default_factory=list)
    versions: list[str | None] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    links: list[socket.socket] = field(default_factory=list)

    def say_goodbye(self) -> None:
        """The next request is answered with close_notify alone, and the socket stays."""
        self.pieces = 0

    def serve(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        plain.settimeout(20)
        self.links.append(plain)
        try:
            with context.wrap_socket(plain, server_side=True) as link:
                self.links[self.links.index(plain)] = plain = link
                self._talk(link)
        except (OSError, ssl.SSLError, struct.error) as error:
            self.ends.append("RST" if isinstance(error, ConnectionResetError) else type(error).__name__)
        finally:
            self.links.remove(plain)
            plain.close()

    def _talk(self, link: ssl.SSLSocket) -> None:
        self.versions.append(link.version())
        subject = (link.getpeercert() or {})["subject"]
        self.peers.append(str(dict(part[0] for part in subject)["commonName"]))  # type: ignore[misc,index]
        while not self.hang_up:
            head = link.recv(7)
            if not head:
                self.ends.append("FIN")
                return
            transaction, _, length, unit = struct.unpack(">HHHB", head)
            pdu = link.recv(length - 1)
            if self.deaf:
                continue
            if not self.pieces:
                self.pieces = 1
                self._goodbye(link)
                return
            self.requests.append(pdu)
            reply = self.unit.answer(pdu)
            data = struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit) + reply
            size = -(-len(data) // self.pieces)
            for at in range(0, len(data), size):
                link.sendall(data[at : at + size])
                time.sleep(0.01 * (self.pieces > 1))

    def _goodbye(self, link: ssl.SSLSocket) -> None:
        with contextlib.suppress(OSError):
            link.unwrap()  # says it, and waits for the other end's


@contextlib.asynccontextmanager
async def tls_device(
    files: Files, *, certificate: str = "device", newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[TlsDevice]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = files.pair(certificate)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    if newest < ssl.TLSVersion.TLSv1_2:
        context.minimum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = newest
    listening = socket.create_server(("127.0.0.1", 0))
    device = TlsDevice(port=listening.getsockname()[1])
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listening.accept()
                threads.append(threading.Thread(target=device.serve, args=(plain, context)))
                threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield device
    finally:
        for link in (listening, *device.links):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in tuple(threads):
            await asyncio.to_thread(thread.join, 5)
        listening.close()
