"""A ZIP that is handed on while it is written: nothing of it waits on a disk."""

import io
import zipfile
from dataclasses import dataclass, field
from typing import Any


class _Sink(io.RawIOBase):
    """Takes bytes and cannot go back, so that zipfile writes sizes after the entries instead of before."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.waiting += data
        return len(memoryview(data))


@dataclass(slots=True)
class ZipStream:
    """Write into ``archive``, from one thread at a time, and send what ``taken`` gives."""

    _sink: _Sink = field(default_factory=_Sink)
    archive: zipfile.ZipFile = field(init=False)

    def __post_init__(self) -> None:
        """The archive writes into the sink."""
        self.archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED)

    def taken(self) -> bytes:
        """What was written since the last call."""
        data, self._sink.waiting = bytes(self._sink.waiting), bytearray()
        return data
