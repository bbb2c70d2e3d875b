"""One HTTP GET whose answer does not end, with a deadline for every wait."""

from collections.abc import Sequence
from time import monotonic
from urllib.parse import urlsplit

from drivers.cameras.credentials import Credentials
from drivers.cameras.http_auth import answer, challenges
from drivers.cameras.network import Wire, unreachable
from gateway.domain.errors import CameraUnavailable

_MAX_HEAD = 32 * 1024


class HttpStream:
    """The body of an answer, as it comes. ``open`` is the way to make one."""

    def __init__(self, wire: Wire, status: int, headers: Sequence[tuple[str, str]], rest: bytes) -> None:
        self._wire, self._rest = wire, rest
        self.status = status
        self.headers = headers
        self._chunks = _Chunks() if "chunked" in self.header("transfer-encoding").lower() else None

    @classmethod
    def open(cls, url: str, credentials: Credentials | None, *, seconds: float) -> "HttpStream":
        """GET, with credentials once they are asked for. Raises CameraUnavailable.

        Redirections are not followed: credentials go to the host in the site file and nowhere else.
        """
        deadline = monotonic() + seconds
        try:
            stream = cls._get(url, None, deadline)
            if stream.status == 401 and credentials is not None:
                offered = challenges([v for k, v in stream.headers if k == "www-authenticate"])
                header = answer(offered, "GET", _target(url), credentials)
                stream.close()
                if header is None:
                    raise CameraUnavailable(
                        f"{url}: offers no way to log in that is known here (Basic, Digest)"
                    )
                stream = cls._get(url, header, deadline)
        except (OSError, ValueError) as error:
            raise unreachable(url, error, seconds) from error
        return stream

    @classmethod
    def _get(cls, url: str, authorization: str | None, deadline: float) -> "HttpStream":
        parts = urlsplit(url)
        lines = [
            f"GET {_target(url)} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: multipart/x-mixed-replace, image/jpeg, */*",
            "Connection: close",
            "User-Agent: Facegate",
        ]
        if authorization is not None:
            lines.append(f"Authorization: {authorization}")
        tls = parts.scheme == "https"
        wire = Wire.connect(parts, 443 if tls else 80, tls=tls, deadline=deadline)
        try:
            wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), deadline)
            return cls(wire, *_head(wire, url, deadline))
        except BaseException:
            wire.close()
            raise

    def header(self, name: str) -> str:
        """A header's value, by its name in small letters; empty when absent."""
        return next((v for k, v in self.headers if k == name), "")

    def receive(self, deadline: float) -> bytes:
        """Some of the body, or none at its end. Raises OSError, TimeoutError, ValueError (bad chunks)."""
        while self._chunks is None or not self._chunks.ended:
            data, self._rest = self._rest or self._wire.receive(deadline), b""
            if not data or self._chunks is None:
                return data
            body = self._chunks.feed(data)
            if body:
                return body
        return b""

    def ready(self) -> bool:
        """True when ``receive`` need not wait for the network."""
        return bool(self._rest) or self._wire.ready()

    def close(self) -> None:
        """Hang up; never raises."""
        self._wire.close()


class _Chunks:
    """Takes the chunked transfer coding (RFC 9112 §7.1) off."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The body bytes in what came so far. Raises ValueError."""
        self._buffer += data
        out = bytearray()
        while self._buffer and not self.ended:
            if self._left:
                taken = self._buffer[: self._left]
                del self._buffer[: self._left]
                self._left -= len(taken)
                out += taken
                continue
            line, found, rest = self._buffer.lstrip(b"\r\n").partition(b"\r\n")
            if not found:
                if len(line) > 1024:
                    raise ValueError("a chunk without a size")
                break
            self._left = int(line.partition(b";")[0], 16)
            self.ended = self._left == 0
            self._buffer = rest
        return bytes(out)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _head(wire: Wire, url: str, deadline: float) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and the first of the body."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        data = wire.receive(deadline)
        if not data or len(reply) > _MAX_HEAD:
            raise CameraUnavailable(f"{url}: answers, but not in HTTP; is the port right?")
        reply += data
    head, _, rest = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, _, status = first.partition(" ")
    if not protocol.startswith("HTTP/") or not status[:3].isdigit():
        raise CameraUnavailable(f"{url}: answers, but not in HTTP; is the port right?")
    pairs = (line.partition(":") for line in lines)
    return int(status[:3]), [(k.strip().lower(), v.strip()) for k, _, v in pairs], rest
