"""Pictures out of multipart/x-mixed-replace, as cameras really send it.

Cameras announce one boundary and use another, leave Content-Length out or begin without a boundary. So the
delimiter is the one that is seen first, a length is used when it is given, and every buffer has an end.
"""

import re

MAX_PART = 16 * 1024 * 1024
MAX_HEAD = 16 * 1024
MAX_PIXELS = 50_000_000
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class BrokenStream(Exception):
    """What comes is not a stream of parts within the limits."""


def announced_boundary(content_type: str) -> bytes | None:
    """The boundary of a multipart Content-Type, without quotes and leading dashes; None if there is none."""
    if not content_type.strip().lower().startswith("multipart/"):
        return None
    found = re.search(r'boundary\s*=\s*(?:"([^"]*)"|([^;\s]+))', content_type, re.IGNORECASE)
    return (found[1] or found[2] or "").lstrip("-").encode("latin-1") if found else b""


class Parts:
    """Push bytes in with ``feed``, take bodies out with ``next``. Raises BrokenStream."""

    def __init__(self, announced: bytes = b"") -> None:
        self._announced = announced
        self._delimiter: bytes | None = None
        self._buffer = bytearray()
        self._length: int | None = None
        self._type = ""
        self._in_body = False
        self._searched = 0
        self.ended = False

    def feed(self, data: bytes) -> None:
        """More of the stream."""
        self._buffer += data

    def next(self) -> bytes | None:
        """Body of the next whole image part; None when more bytes are needed or the stream has ended."""
        while not self.ended:
            if not self._in_body and not self._head():
                return None
            body = self._body()
            if body is None:
                return None
            self._in_body = False
            if body and (self._type.startswith("image/") or not self._type):
                return body
        return None

    def _head(self) -> bool:
        """Take the delimiter and the headers of a part; False when they are not all there."""
        del self._buffer[: len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))]
        end = _HEAD_END.search(self._buffer)
        if end is None:
            if self._closing():
                self.ended = True
            elif len(self._buffer) > MAX_HEAD:
                raise BrokenStream(f"no headers within {MAX_HEAD} bytes")
            return False
        lines = bytes(self._buffer[: end.start()]).replace(b"\r", b"").split(b"\n")
        del self._buffer[: end.end()]
        if len(b"".join(lines)) > MAX_HEAD:
            raise BrokenStream(f"no headers within {MAX_HEAD} bytes")
        self._learn(lines)
        headers = dict(_header(line) for line in lines if b":" in line)
        length = headers.get("content-length", "")
        self._length = int(length) if length.isdigit() else None
        if self._length is not None and self._length > MAX_PART:
            raise BrokenStream(f"a picture of {self._length} bytes; {MAX_PART} is the most")
        self._type = headers.get("content-type", "").lower()
        self._in_body, self._searched = True, 0
        return True

    def _learn(self, lines: list[bytes]) -> None:
        """The delimiter this stream uses is the first line that looks like one."""
        if self._delimiter is not None:
            return
        seen = next((line.strip() for line in lines if line.startswith(b"--")), None)
        bare = next(
            (line.strip() for line in lines if self._announced and line.strip() == self._announced), None
        )
        self._delimiter = seen or bare or (b"--" + self._announced if self._announced else None)

    def _closing(self) -> bool:
        mark = self._delimiter
        return mark is not None and bytes(self._buffer).rstrip() == mark + b"--"

    def _body(self) -> bytes | None:
        """The part's body once it is whole."""
        if self._length is not None:
            if len(self._buffer) < self._length:
                return None
            return self._take(self._length, self._length)
        if self._delimiter is None:
            raise BrokenStream("neither a boundary nor a Content-Length")
        line = re.compile(rb"\r?\n" + re.escape(self._delimiter) + rb"(?=\r|\n|--)")
        found = line.search(self._buffer, max(0, self._searched - len(self._delimiter) - 4))
        if found is None:
            self._searched = len(self._buffer)
            if self._searched > MAX_PART:
                raise BrokenStream(f"a picture of more than {MAX_PART} bytes")
            return None
        return self._take(found.start(), found.end() - len(self._delimiter))

    def _take(self, body_end: int, used: int) -> bytes:
        body = bytes(memoryview(self._buffer)[:body_end])
        del self._buffer[:used]
        return body


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in a JPEG's frame header; None when there is none (then it is no JPEG)."""
    at = data.find(b"\xff\xd8") + 2
    if at == 1:
        return None
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.strip().lower(), value.strip()
