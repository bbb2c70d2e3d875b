"""Why an RTSP camera could not be opened. FFmpeg only says that it could not, so the camera is asked."""

from urllib.parse import SplitResult, urlsplit

from drivers.cameras.credentials import Credentials
from drivers.cameras.http_auth import answer, challenges
from drivers.cameras.network import Wire, left, unreachable
from gateway.domain.errors import CameraUnavailable
from gateway.settings import Camera

_MAX_REPLY = 65536
_TLS_PORT = 322
_MEANINGS = {
    403: "forbids it to this user; give the user the right to view",
    404: "has no such stream; take the path from the camera's manual",
    453: "has no bandwidth left; close another viewer",
    454: "has no such stream; take the path from the camera's manual",
    461: 'does not offer this transport; set transport = "tcp" or "udp"',
    503: "is busy; perhaps too many viewers",
}


def why(camera: Camera, credentials: Credentials | None, started: float) -> CameraUnavailable:
    """The reason, found within what is left of the open time-out since ``started`` (monotonic)."""
    deadline = started + camera.open_timeout_s
    try:
        left(deadline)
        status = _describe(urlsplit(camera.url), credentials, deadline)
    except (OSError, ValueError) as error:
        return unreachable(camera.url, error, camera.open_timeout_s)
    return CameraUnavailable(f"{camera.url}: {_meaning(status, camera)}")


def check_certificate(camera: Camera, started: float) -> None:
    """Refuse an rtsps camera whose certificate is not of its address. Raises CameraUnavailable.

    FFmpeg checks who signed it, and the name; but where the address is a number it does not compare that.
    """
    url, deadline = urlsplit(camera.url), started + camera.open_timeout_s
    if url.scheme != "rtsps":
        return
    try:
        Wire.connect(url, _TLS_PORT, tls=True, deadline=deadline).close()
    except (OSError, ValueError) as error:
        raise unreachable(camera.url, error, camera.open_timeout_s) from error


def _meaning(status: int | None, camera: Camera) -> str:
    if status is None:
        return "answers, but not in RTSP; is the port right?"
    if status == 401 and camera.credentials_file is None:
        return "wants a user and password; put them into a file and name it in credentials_file"
    if status == 401:
        return f"refuses the user and password in {camera.credentials_file}"
    if status == 200:
        return (
            f"describes a stream that does not play over {camera.transport}; try H.264 or the other transport"
        )
    return _MEANINGS.get(status, "refuses the stream") + f" (RTSP status {status})"


def _describe(url: SplitResult, credentials: Credentials | None, deadline: float) -> int | None:
    """Status of a DESCRIBE; None when the answer is not RTSP. Raises OSError, ValueError."""
    status, offered = _ask(url, None, deadline)
    if status == 401 and credentials is not None:
        header = answer(challenges(offered), "DESCRIBE", url.geturl(), credentials)
        if header is not None:
            status, _ = _ask(url, header, deadline)
    return status


def _ask(url: SplitResult, authorization: str | None, deadline: float) -> tuple[int | None, list[str]]:
    lines = [
        f"DESCRIBE {url.geturl()} RTSP/1.0",
        "CSeq: 1",
        "Accept: application/sdp",
        "User-Agent: Facegate",
    ]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    tls = url.scheme == "rtsps"
    wire = Wire.connect(url, _TLS_PORT if tls else 554, tls=tls, deadline=deadline)
    try:
        wire.send(("\r\n".join(lines) + "\r\n\r\n").encode(), deadline)
        reply = b""
        while b"\r\n\r\n" not in reply and len(reply) < _MAX_REPLY:
            data = wire.receive(deadline)
            if not data:
                break
            reply += data
    finally:
        wire.close()
    first, *headers = reply.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    status = int(rest[:3]) if protocol.startswith("RTSP/") and rest[:3].isdigit() else None
    wanted = "www-authenticate:"
    return status, [h[len(wanted) :].strip() for h in headers if h.lower().startswith(wanted)]
