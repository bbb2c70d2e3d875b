"""How an endpoint is reached: the four ways of Modbus, as data."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tcp:
    """Modbus TCP: replies carry their request's number."""

    host: str
    port: int = 502

    @property
    def endpoint(self) -> str:
        """For people; no two endpoints share it."""
        return f"{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class RtuOverTcp:
    """The serial line's frames through a device server: replies carry no number."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """For people; no two endpoints share it."""
        return f"rtu+tcp://{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """Modbus/TCP Security: Modbus TCP inside mutual TLS (MB-TCP-Security v36)."""

    host: str
    port: int = 802
    _: KW_ONLY
    ca_file: Path
    """PEM: who signed the device's certificate."""
    certificate_file: Path
    """PEM: the gateway's own certificate, with those in between."""
    key_file: Path
    """PEM, without a pass phrase."""
    server_name: str | None = None
    """The name in the device's certificate, where that is not ``host``."""

    @property
    def endpoint(self) -> str:
        """For people; no two endpoints share it."""
        return f"tls://{_host(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Serial:
    """An RS-485 or RS-232 line with 8 data bits. ``parity`` is N, E or O."""

    path: str
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1

    @property
    def endpoint(self) -> str:
        """For people; no two endpoints share it."""
        return self.path

    @property
    def gap_s(self) -> float:
        """The silence between two frames: 3.5 characters of 11 bits, 1.75 ms above 19200 baud.

        Modbus over Serial Line V1.02, 2.5.1.1.
        """
        return 3.5 * 11 / self.baud if self.baud <= 19200 else 0.00175


Transport = Tcp | RtuOverTcp | Tls | Serial


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
