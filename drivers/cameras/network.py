"""Sockets with one deadline for everything, and reasons a person can act on."""

import select
import socket
import ssl
from time import monotonic
from urllib.parse import SplitResult

from gateway.domain.errors import CameraUnavailable

_CHUNK = 65536


class Wire:
    """A connected TCP or TLS socket; every wait ends at the deadline it is given (monotonic seconds)."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def connect(cls, url: SplitResult, default_port: int, *, tls: bool, deadline: float) -> "Wire":
        """Connect to the first address of the host that answers. Raises OSError, ValueError."""
        host, port = url.hostname or "", url.port or default_port
        refusal: OSError = ConnectionRefusedError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(left(deadline))
                sock.connect(address)
                if tls:
                    sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            except OSError as error:
                sock.close()
                refusal = error
            else:
                return cls(sock)
        raise refusal

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of it. Raises OSError, TimeoutError at the deadline."""
        self._socket.settimeout(left(deadline))
        self._socket.sendall(data)

    def receive(self, deadline: float) -> bytes:
        """Some bytes, or none at the end. Raises OSError, TimeoutError at the deadline."""
        self._socket.settimeout(left(deadline))
        return self._socket.recv(_CHUNK)

    def ready(self) -> bool:
        """True when ``receive`` has something to give at once."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Close; never raises."""
        self._socket.close()


def left(deadline: float) -> float:
    """Seconds to the deadline. Raises TimeoutError when it has passed."""
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def unreachable(where: str, error: OSError | ValueError, seconds: float) -> CameraUnavailable:
    """What an operator should read about a connection that did not come about or broke."""
    match error:
        case TimeoutError():
            reason = f"did not answer within {seconds:g} s; is it on and on the network?"
        case socket.gaierror():
            reason = "its name cannot be resolved; use its IP address or mend the DNS"
        case ConnectionRefusedError():
            reason = "refuses the connection; is this service switched on in it, and is the port right?"
        case ssl.SSLCertVerificationError():
            reason = f"its certificate is not trusted ({error.verify_message}); add its CA to this machine's"
        case OSError():
            reason = f"cannot be reached ({error.strerror or type(error).__name__})"
        case _:
            reason = "its address is not valid"
    return CameraUnavailable(f"{where}: {reason}")
