"""MJPEG as real cameras send it, over a socket that says exactly what a test writes down."""

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import pytest

from drivers.cameras import open_source
from gateway.domain.errors import CameraUnavailable
from gateway.ports import FrameSource
from gateway.settings import Camera

Reply = Callable[[bytes, socket.socket, threading.Event], None]
OK = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=%s\r\n\r\n"


def jpeg(level: int, *, grey: bool = False) -> bytes:
    shape = (48, 64) if grey else (48, 64, 3)
    return cv2.imencode(".jpg", np.full(shape, level, np.uint8))[1].tobytes()


def part(body: bytes, mark: bytes = b"--b", *, length: bool = True) -> bytes:
    more = b"Content-Length: %d\r\n" % len(body) if length else b""
    return mark + b"\r\nContent-Type: image/jpeg\r\n" + more + b"\r\n" + body + b"\r\n"


@contextmanager
def camera(reply: Reply, **options: object) -> Iterator[FrameSource]:
    """A source of a camera that answers every request with ``reply(request, socket, over)``."""
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.settimeout(5)
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += client.recv(4096)
                    reply(request, client, over)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/video?channel=1"
    made = open_source(Camera(id="c", url=url, open_timeout_s=1.0, read_timeout_s=1.0, **options))
    try:
        with closing(made):
            yield made
    finally:
        over.set()
        thread.join(10)
        listener.close()


def says(*pieces: bytes, pause: float = 0.06, hold: bool = True) -> Reply:
    def reply(_request: bytes, client: socket.socket, over: threading.Event) -> None:
        for piece in pieces:
            client.sendall(piece)
            over.wait(pause)
        if hold:
            over.wait(5)

    return reply


def read_on(source: FrameSource) -> None:
    for _ in range(3):
        source.read()


def levels(source: FrameSource, count: int) -> list[int]:
    source.open()
    found = [source.read() for _ in range(count)]
    return [round(float(f[0].mean())) for f in found if f is not None]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([OK % b"b", *(part(jpeg(v)) for v in (50, 100, 150))], id="by the book"),
        pytest.param(
            [OK % b"b", *(part(jpeg(v), length=False) for v in (50, 100, 150)), b"--b\r\n"], id="no lengths"
        ),
        pytest.param([OK % b"else", *(part(jpeg(v)) for v in (50, 100, 150))], id="another boundary"),
        pytest.param([OK % b'"--b"', *(part(jpeg(v)) for v in (50, 100, 150))], id="quoted, with dashes"),
        pytest.param([OK % b"b", *(part(jpeg(v, grey=True)) for v in (50, 100, 150))], id="grey"),
        pytest.param(
            [OK % b"b" + part(jpeg(50)), part(jpeg(100)), part(jpeg(150))], id="head and picture in one"
        ),
        pytest.param(
            [OK % b"b", part(jpeg(50)), part(b"broken"), part(jpeg(100)), part(jpeg(150))], id="one broken"
        ),
    ],
)
def test_streams_as_cameras_send_them(pieces: list[bytes]) -> None:
    with camera(says(*pieces)) as source:
        assert levels(source, 3) == [50, 100, 150]


def test_chunked_transfer() -> None:
    stream = b"".join(part(jpeg(v)) for v in (50, 100))
    chunks = [stream[i : i + 97] for i in range(0, len(stream), 97)]
    coded = [b"%x;x=y\r\n%s\r\n" % (len(c), c) for c in chunks]
    head = (
        (OK % b"b")
        .replace(b"1.0 200", b"1.1 200")
        .replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    )
    with camera(says(head, *coded, pause=0.005)) as source:
        assert levels(source, 1)[0] in {50, 100}
    with camera(says(head, *coded, b"0\r\n\r\n", pause=0.0)) as source:
        source.open()
        with pytest.raises(CameraUnavailable, match="ended the stream"):
            read_on(source)


def test_of_pictures_that_wait_the_newest_is_given() -> None:
    waiting = b"".join(part(jpeg(v)) for v in (10, 60, 110, 160))
    with camera(says(OK % b"b" + waiting, pause=0)) as source:
        assert levels(source, 1) == [160]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "has no such page"),
        (b"HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", "name it in credentials_file"),
        (b"HTTP/1.0 403 No\r\n\r\n", "forbids it"),
        (b"HTTP/1.0 302 There\r\nLocation: http://198.51.100.1/\r\n\r\n", "put that one into the site file"),
        (b"HTTP/1.0 500 Oops\r\n\r\n", "HTTP status 500"),
        (b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n", "one still picture"),
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "answers with text/html, not MJPEG"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "answers with no type"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "not in HTTP"),
        (b"x" * 100_000, "not in HTTP"),
    ],
)
def test_answers_that_are_no_stream_are_named(answer: bytes, message: str) -> None:
    with camera(says(answer, hold=False)) as source, pytest.raises(CameraUnavailable, match=message):
        source.open()


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([part(b"\xff\xd8" + bytes(50)) for _ in range(12)], "not JPEG"),
        ([b"--b\r\nContent-Length: 999999999\r\n\r\n"], "broken MJPEG"),
        ([b"z" * 70_000], "broken MJPEG"),
        (
            [part(b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(20)) for _ in range(12)],
            "too large",
        ),
    ],
)
def test_streams_that_are_broken_are_named(pieces: list[bytes], message: str) -> None:
    with camera(says(OK % b"b", *pieces, pause=0.02)) as source:
        source.open()
        with pytest.raises(CameraUnavailable, match=message):
            source.read()


@pytest.mark.parametrize("part_of_it", ["head", "picture"])
def test_a_trickle_does_not_outlast_the_timeout(part_of_it: str) -> None:
    whole = [OK % b"b"] if part_of_it == "picture" else []
    trickle = [b"H"] * 40 if part_of_it == "head" else [b"--b\r\n\r\n", *([b"\xff"] * 40)]
    with camera(says(*whole, *trickle, pause=0.1)) as source:
        started = monotonic()
        with pytest.raises(CameraUnavailable, match=r"within 1 s|for 1 s"):
            levels(source, 1)
        assert monotonic() - started < 2.5


def digest_reply(algorithm: str, user: str, password: str) -> Reply:
    """Lets in who can answer an RFC 7616 challenge; worked out here a second time, from the RFC."""
    make = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def reply(request: bytes, client: socket.socket, over: threading.Event) -> None:
        text = request.decode("latin-1")
        fields = dict(re.findall(r'(\w+)="?([^",\r\n]*)"?', text.partition("Authorization: Digest ")[2]))
        ha1 = make(f"{user}:door:{password}".encode()).hexdigest()
        ha2 = make(f"GET:{text.split(' ')[1]}".encode()).hexdigest()
        rest = f"n0nce:{fields.get('nc')}:{fields.get('cnonce')}:auth:{ha2}"
        if fields.get("response") == make(f"{ha1}:{rest}".encode()).hexdigest():
            client.sendall((OK % b"b") + part(jpeg(77)))
            over.wait(5)
        else:
            challenge = f'Digest realm="door", nonce="n0nce", qop="auth", algorithm={algorithm}'
            client.sendall(f"HTTP/1.1 401 No\r\nWWW-Authenticate: {challenge}\r\n\r\n".encode())

    return reply


def basic_reply(user: str, password: str) -> Reply:
    wanted = b"Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode())

    def reply(request: bytes, client: socket.socket, over: threading.Event) -> None:
        if wanted in request:
            client.sendall((OK % b"b") + part(jpeg(77)))
            over.wait(5)
        else:
            client.sendall(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="door"\r\n\r\n')

    return reply


@pytest.mark.parametrize(
    "make", [basic_reply, lambda u, p: digest_reply("MD5", u, p), lambda u, p: digest_reply("SHA-256", u, p)]
)
def test_credentials_are_given_when_asked_for(make: Callable[[str, str], Reply], tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("gate:p:ä ss\n", "utf-8")
    path.chmod(0o600)
    with camera(make("gate", "p:ä ss"), credentials_file=str(path)) as source:
        assert levels(source, 1) == [77]
    refused = pytest.raises(CameraUnavailable, match="refuses the user and password in")
    with camera(make("gate", "other"), credentials_file=str(path)) as source, refused:
        source.open()


def test_a_password_is_not_sent_before_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("gate:word")
    path.chmod(0o600)
    seen: list[bytes] = []

    def reply(request: bytes, client: socket.socket, over: threading.Event) -> None:
        seen.append(request)
        says(OK % b"b" + part(jpeg(77)))(request, client, over)

    with camera(reply, credentials_file=str(path)) as source:
        levels(source, 1)
    assert len(seen) == 1
    assert b"uthorization" not in seen[0]
    assert seen[0].startswith(b"GET /video?channel=1 HTTP/1.1\r\nHost: 127.0.0.1:")
