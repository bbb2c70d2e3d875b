"""An HTTP client that sends exactly the bytes it is given, well formed or not."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """An answer; status 0 when the server only closed."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


async def said_on(reader: asyncio.StreamReader) -> Said:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return Said(0, {}, b"")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Said(int(head[0].split()[1]), headers, body)


async def send(port: int, raw: bytes, within_s: float = 20) -> Said:
    """One connection, one request, one answer."""
    async with asyncio.timeout(within_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(raw)
            return await said_on(reader)
        finally:
            writer.close()


def request(method: str, target: bytes | str, *headers: bytes, body: bytes = b"") -> bytes:
    """A request of these bytes, with Host and, where there is a body, its length."""
    path = target if isinstance(target, bytes) else target.encode()
    length = [b"Content-Length: %d" % len(body)] if body else []
    lines = [b"%s %s HTTP/1.1" % (method.encode(), path), b"Host: gateway", *headers, *length]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
