"""The two ways RTP reaches a client of the simulated camera: inside its RTSP connection, and as datagrams."""

import asyncio
from typing import Any, Protocol


class Carrier(Protocol):
    """How packets reach one client."""

    transport_header: str

    def send(self, packet: bytes, *, control: bool) -> None:
        """Send an RTP or, with ``control``, an RTCP packet; never blocks."""
        ...

    def backlog(self) -> int:
        """Bytes not yet on the wire."""
        ...

    def close(self) -> None:
        """Release sockets."""
        ...


class Interleaved:
    """RTP inside the RTSP connection (RFC 2326 §10.12)."""

    def __init__(self, writer: asyncio.StreamWriter, channels: tuple[int, int]) -> None:
        self._transport = writer.transport
        self._channels = channels
        self.transport_header = f"RTP/AVP/TCP;unicast;interleaved={channels[0]}-{channels[1]}"

    def send(self, packet: bytes, *, control: bool) -> None:
        """See Carrier."""
        if not self._transport.is_closing():
            head = b"$" + bytes((self._channels[control],)) + len(packet).to_bytes(2, "big")
            self._transport.write(head + packet)

    def backlog(self) -> int:
        """See Carrier."""
        return self._transport.get_write_buffer_size()

    def close(self) -> None:
        """The connection is the session's."""


class Datagrams:
    """RTP and RTCP on a pair of UDP sockets."""

    def __init__(self, sockets: tuple[Any, Any], peer: str, ports: tuple[int, int]) -> None:
        self._sockets, self._peer, self._ports = sockets, peer, ports
        own = [s.get_extra_info("sockname")[1] for s in sockets]
        self.transport_header = (
            f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={own[0]}-{own[1]}"
        )

    @classmethod
    async def open(cls, host: str, peer: str, ports: tuple[int, int]) -> "Datagrams":
        """Bind an even port and the odd one after it, as RFC 3550 §11 wants."""
        loop = asyncio.get_running_loop()
        for _ in range(50):
            first, _protocol = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0))
            port = first.get_extra_info("sockname")[1]
            if port % 2 == 0:
                try:
                    second, _protocol = await loop.create_datagram_endpoint(
                        asyncio.DatagramProtocol, (host, port + 1)
                    )
                except OSError:
                    pass
                else:
                    return cls((first, second), peer, ports)
            first.close()
        raise OSError("no free pair of UDP ports")

    def send(self, packet: bytes, *, control: bool) -> None:
        """See Carrier."""
        self._sockets[control].sendto(packet, (self._peer, self._ports[control]))

    def backlog(self) -> int:
        """See Carrier."""
        return 0

    def close(self) -> None:
        """See Carrier."""
        for one in self._sockets:
            one.close()


def port_pair(text: str) -> tuple[int, int]:
    """``a-b``, or ``a`` alone for a and the one after it. Raises ValueError."""
    first, _, second = text.partition("-")
    return int(first), int(second or int(first) + 1)
