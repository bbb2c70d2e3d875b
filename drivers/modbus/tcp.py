"""What the kernel may do with bytes that the driver has given up.

Closing a socket does not take back what still waits in its send queue: over a cable pulled for ten
seconds an unlock frame was seen to arrive, and to open, long after its grant had expired.
"""

import asyncio
import select
import socket
import struct
from typing import Final

_DISCARD: Final = struct.pack("ii", 1, 0)
_DELIVER: Final = struct.pack("ii", 0, 0)


def forget_when_closed(transport: asyncio.BaseTransport, timeout_s: float) -> None:
    """From now on the end of this socket discards what is unsent, also after ``kill -9``.

    And where the kernel can (Linux) the link ends when bytes stay unacknowledged for ``timeout_s``, also
    while this process is stopped.
    """
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(timeout_s * 1000)))


def part_in_order(transport: asyncio.BaseTransport) -> None:
    """Nothing is on its way: the coming close may be FIN, which a device hears even if it is lost once."""
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DELIVER)


def unread(transport: asyncio.BaseTransport) -> bool:
    """Bytes have arrived that the loop has not read yet; after a request they would look like its reply."""
    asked = select.poll()
    asked.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(asked.poll(0))
