"""The RTSP side of a simulated camera (RFC 2326): H.264 over TCP, interleaved, and over UDP, unicast."""

import asyncio
import base64
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from drivers.simulators.camera_carriers import Carrier, Datagrams, Interleaved, port_pair
from drivers.simulators.camera_projector import Projector
from drivers.simulators.rtp_h264 import RtpSender, description

log = structlog.get_logger(__name__)

Headers = dict[str, str]
MAX_BACKLOG = 2_000_000
"""Bytes waiting for a slow client before pictures are dropped, up to the next key frame."""
REPORT_EVERY_S = 5.0
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"


class Stage(Protocol):
    """What the servers of a simulated camera share."""

    projector: Projector
    path: str
    credentials: tuple[str, str] | None
    talking: asyncio.Event
    """Cleared while the camera is silent."""

    def joined(self) -> None:
        """A client is about to be shown pictures."""
        ...


class Connection:
    """One RTSP client: its requests, and once it plays its pictures."""

    def __init__(self, stage: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._stage, self._reader, self._writer = stage, reader, writer
        self._session = secrets.token_hex(8)
        self._sender = RtpSender()
        self._carrier: Carrier | None = None
        self._awaits_key = True
        self._reported_s = float("-inf")

    async def run(self) -> None:
        """Serve until the client goes, breaks the protocol or is cut off."""
        try:
            while (request := await self._request()) is not None:
                await self._stage.talking.wait()
                if not await self._answer(*request):
                    break
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
            log.debug("rtsp_client_gone", reason=str(error))
        finally:
            self._stage.projector.viewers.discard(self)
            if self._carrier is not None:
                self._carrier.close()
            self._writer.close()

    def show(self, index: int, media_s: float) -> None:
        """Send one picture, beginning with a key frame."""
        carrier = self._carrier
        if carrier is None:
            return
        unit = self._stage.projector.reel.units[index]
        if carrier.backlog() > MAX_BACKLOG:
            self._awaits_key = True
        if self._awaits_key and not unit.key:
            return
        self._awaits_key = False
        for packet in self._sender.packets(unit.nals, media_s + unit.shown_s - unit.due_s):
            carrier.send(packet, control=False)
        if media_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = media_s
            carrier.send(self._sender.report(media_s, time.time()), control=True)

    async def _request(self) -> tuple[str, str, Headers] | None:
        """Next request, passing over interleaved RTCP; None at the end of the connection."""
        while True:
            first = await self._reader.read(1)
            if first != b"$":
                break
            head = await self._reader.readexactly(3)
            await self._reader.readexactly(int.from_bytes(head[1:], "big"))
        if not first:
            return None
        text = (first + await self._reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
        line, *rest = text.strip().split("\r\n")
        method, url, _version = line.split(" ", 2)
        pairs = (h.partition(":") for h in rest)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        await self._reader.readexactly(int(headers.get("content-length", "0")))
        return method, url, headers

    async def _answer(self, method: str, url: str, headers: Headers) -> bool:
        """Reply to one request; False to hang up."""
        if method != "OPTIONS" and not self._welcome(headers):
            self._reply(headers, "401 Unauthorized", {"WWW-Authenticate": 'Basic realm="camera"'})
            return True
        handlers: dict[str, Callable[[str, Headers], Any]] = {
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
        }
        if method in handlers:
            result = handlers[method](url, headers)
            if asyncio.iscoroutine(result):
                await result
        elif method in {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN"}:
            self._reply(headers, "200 OK", {"Public": _METHODS})
        else:
            self._reply(headers, "405 Method Not Allowed", {"Allow": _METHODS})
        return method != "TEARDOWN"

    def _welcome(self, headers: Headers) -> bool:
        if self._stage.credentials is None:
            return True
        wanted = base64.b64encode(":".join(self._stage.credentials).encode()).decode()
        return hmac.compare_digest(headers.get("authorization", "").encode(), f"Basic {wanted}".encode())

    def _describe(self, url: str, headers: Headers) -> None:
        if url.rstrip("/").rpartition("/")[2] != self._stage.path:
            self._reply(headers, "404 Not Found", {})
            return
        reel = self._stage.projector.reel
        host = self._writer.get_extra_info("sockname")[0]
        body = description(reel.sps, reel.pps, host)
        more = {"Content-Base": url.rstrip("/") + "/", "Content-Type": "application/sdp"}
        self._reply(headers, "200 OK", more, body)

    async def _setup(self, _url: str, headers: Headers) -> None:
        carrier = await self._carry(headers.get("transport", ""))
        if carrier is None:
            self._reply(headers, "461 Unsupported Transport", {})
            return
        if self._carrier is not None:
            self._carrier.close()
        self._carrier = carrier
        self._reply(
            headers, "200 OK", {"Transport": f"{carrier.transport_header};ssrc={self._sender.ssrc:08X}"}
        )

    async def _carry(self, offered: str) -> Carrier | None:
        """The first transport on offer that is spoken here."""
        for offer in offered.split(","):
            protocol, *fields = (part.strip() for part in offer.split(";"))
            options = dict(f.partition("=")[::2] for f in fields)
            if protocol == "RTP/AVP/TCP":
                return Interleaved(self._writer, port_pair(options.get("interleaved", "0-1")))
            if protocol in {"RTP/AVP", "RTP/AVP/UDP"} and "client_port" in options:
                own, peer = (self._writer.get_extra_info(k)[0] for k in ("sockname", "peername"))
                return await Datagrams.open(own, peer, port_pair(options["client_port"]))
        return None

    def _play(self, url: str, headers: Headers) -> None:
        if self._carrier is None:
            self._reply(headers, "455 Method Not Valid in This State", {})
            return
        track = url.rstrip("/") + "/trackID=0"
        more = {"Range": "npt=now-", "RTP-Info": f"url={track};seq={self._sender.sequence}"}
        self._reply(headers, "200 OK", more)
        self._awaits_key = True
        self._stage.projector.viewers.add(self)
        self._stage.joined()

    def _pause(self, _url: str, headers: Headers) -> None:
        self._stage.projector.viewers.discard(self)
        self._reply(headers, "200 OK", {})

    def _reply(self, request: Headers, status: str, more: Headers, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.get('cseq', '0')}", "Server: Facegate-Simulator"]
        if self._carrier is not None:
            lines.append(f"Session: {self._session};timeout=60")
        lines += [f"{name}: {value}" for name, value in more.items()]
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
