"""Modbus/TCP Security: who is trusted, who is not, what a person is told, what a half-open link leaves."""

import asyncio
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from drivers.modbus import wire
from drivers.modbus.bus import ModbusBus
from drivers.modbus.frames import Ambiguous, Echoed, NotSent
from drivers.modbus.guard import Guard
from drivers.modbus.transport import Tls
from gateway.domain.errors import ConfigError
from gateway.telemetry.clock import SystemClock
from tests.fakes.certificates import Authority, Files
from tests.fakes.modbus_bus import coil, pulse, running, words
from tests.fakes.modbus_rig import until
from tests.fakes.modbus_tls import TlsDevice, tls_device


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"), Authority("site"))


def to(files: Files, device: TlsDevice) -> Tls:
    return Tls(
        host="127.0.0.1",
        port=device.port,
        ca_file=files.ca,
        certificate_file=files.gateway.certificate,
        key_file=files.gateway.key,
        server_name="door.test",
    )


async def told(bus: ModbusBus, *words: str) -> None:
    await until(lambda: all(w in bus.detail for w in words))
    assert not bus.connected


async def test_reads_and_writes_inside_mutual_tls(files: Files) -> None:
    async with tls_device(files) as device, running(to(files, device), 1) as bus:
        assert "no reply yet" in bus.detail
        assert isinstance(await bus.carry_out(pulse(1)), Echoed)
        assert device.unit.coils[0]
        assert bus.detail == f"connected to {bus.endpoint}"
        device.pieces = 3  # a reply over several TLS records is one reply
        result = await bus.carry_out(words(1, 0, 8))
        assert isinstance(result, Echoed)
        assert device.versions == ["TLSv1.3"]
        assert device.peers == ["gateway"]


async def test_tls_1_2_will_do_and_1_1_will_not(files: Files) -> None:
    async with (
        tls_device(files, newest=ssl.TLSVersion.TLSv1_2) as device,
        running(to(files, device), 1) as bus,
    ):
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        assert device.versions == ["TLSv1.2"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_an_old_tls_is_refused_in_words(files: Files) -> None:
    async with tls_device(files, newest=ssl.TLSVersion.TLSv1_1) as device:
        async with running(to(files, device), 1, connected=False) as bus:
            await told(bus, "older than 1.2")
        assert device.requests == []


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ("expired", "the device's certificate has expired"),
        ("early", "not valid yet"),
        ("stranger", "not signed by anyone in"),
        ("other_name", "is for another name than door.test; set server_name"),
    ],
)
async def test_fault_33_a_device_that_cannot_be_trusted_is_down_with_the_reason(
    files: Files, certificate: str, says: str
) -> None:
    async with (
        tls_device(files, certificate=certificate) as device,
        running(to(files, device), 1, connected=False) as bus,
    ):
        await told(bus, "cannot be reached", says)
        assert isinstance(await bus.carry_out(pulse(1)), NotSent)
        assert bus.meter.failures > 0
    assert device.requests == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("ours", "says"),
    [("stranger", "does not know who signed it"), ("expired_gateway", "expired"), ("none", "none was given")],
)
async def test_fault_33_a_device_that_does_not_trust_us_is_down_with_the_reason(
    files: Files, ours: str, says: str, newest: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TLS 1.3 the refusal comes after the handshake: the link seems up, and then is gone."""
    async with tls_device(files, newest=newest) as device:
        transport = to(files, device)
        if ours == "none":
            monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda *_, **__: None)
            if newest is ssl.TLSVersion.TLSv1_2:
                says = "refuses the gateway's certificate"
        else:
            pair = files.pair(ours)
            transport = replace(transport, certificate_file=pair.certificate, key_file=pair.key)
        async with running(transport, 1, connected=False) as bus:
            await told(bus, says)
            if ours != "none":
                assert str(transport.certificate_file) in bus.detail
            assert isinstance(await bus.carry_out(pulse(1)), NotSent | Ambiguous)
        assert device.requests == []


async def test_fault_33_a_device_that_hangs_up_without_a_word_may_not_accept_the_certificate(
    files: Files,
) -> None:
    async with tls_device(files) as device:
        device.hang_up = True
        async with running(to(files, device), 1, connected=False) as bus:
            await told(bus, "ended the link after the TLS handshake", str(files.gateway.certificate))


async def test_fault_33_plain_modbus_is_never_spoken_instead(files: Files) -> None:
    heard: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1024))
        writer.write(bytes.fromhex("0001000000040101010000"))
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        device = TlsDevice(port=server.sockets[0].getsockname()[1])
        async with running(to(files, device), 1, connected=False) as bus:
            await told(bus, "does not speak TLS on this port")
        assert heard
        assert all(data[:1] == b"\x16" for data in heard)  # a TLS hello and nothing else


async def test_fault_33_the_end_of_a_half_open_link_does_not_touch_the_one_after_it(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asyncio gives a goodbye 30 s by default, and then tells the protocol. Here: 0.4 s."""
    monkeypatch.setattr(wire, "_PARTING_S", 0.4)
    async with tls_device(files) as device, running(to(files, device), 1) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        device.deaf = True
        assert isinstance(await bus.carry_out(coil(1)), Ambiguous)
        device.deaf = False
        assert await bus.wait_connected(5)
        epoch = bus.epoch
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            assert isinstance(await bus.carry_out(coil(1)), Echoed)
            await asyncio.sleep(0.02)
        assert bus.epoch == epoch


async def test_fault_33_a_goodbye_without_an_end_ends_the_link_at_once(files: Files) -> None:
    """A device that says goodbye in TLS and keeps its socket: what is written then is lost in silence."""
    async with tls_device(files) as device, running(to(files, device), 1, timeout_s=2) as bus:
        assert isinstance(await bus.carry_out(coil(1)), Echoed)
        device.say_goodbye()
        began = time.monotonic()
        assert isinstance(await bus.carry_out(coil(1)), Ambiguous)
        assert time.monotonic() - began < 1
        await until(lambda: bus.connected, 3)
        assert bus.epoch == 2
        assert isinstance(await bus.carry_out(coil(1)), Echoed)


async def test_a_certificate_renewed_on_disk_is_used_by_the_next_connection(
    files: Files, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    files.pair("expired_gateway").copy(certificate, key)
    async with tls_device(files) as device:
        transport = replace(to(files, device), certificate_file=certificate, key_file=key)
        async with running(transport, 1, connected=False) as bus:
            await told(bus, "expired")
            certificate.write_text("half a file")
            await told(bus, str(certificate))
            files.gateway.copy(certificate, key)
            await until(lambda: bus.connected)
            assert isinstance(await bus.carry_out(coil(1)), Echoed)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t, p: replace(t, key_file=p / "none"), r"none: there is no such file"),
        (lambda t, p: replace(t, ca_file=p / "none"), r"none: there is no such file"),
        (lambda t, p: replace(t, certificate_file=p), r"is not a file"),
        (lambda t, p: replace(t, key_file=_open_to_all(p, t)), r"chmod 600 it"),
        (lambda t, p: replace(t, ca_file=_nonsense(p)), r"holds no PEM certificate"),
        (lambda t, p: replace(t, certificate_file=_nonsense(p)), r"not a PEM certificate and its own key"),
        (lambda t, p: replace(t, key_file=_nonsense(p)), r"not a PEM certificate and its own key"),
        (lambda t, p: replace(t, certificate_file=t.ca_file), r"not a PEM certificate and its own key"),
    ],
)
def test_files_that_cannot_be_used_are_named(files: Files, tmp_path: Path, spoil, says: str) -> None:
    right = to(files, TlsDevice(port=802))
    with pytest.raises(ConfigError, match=says) as caught:
        ModbusBus(spoil(right, tmp_path), timeout_s=1, guard=Guard(), clock=SystemClock())
    assert "tls://127.0.0.1:802" in str(caught.value)


def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked(files: Files, tmp_path: Path) -> None:
    key = files.gateway.locked(tmp_path / "locked.key", b"secret")
    with pytest.raises(ConfigError, match="without a pass phrase"):
        ModbusBus(
            replace(to(files, TlsDevice(port=802)), key_file=key),
            timeout_s=1,
            guard=Guard(),
            clock=SystemClock(),
        )


def test_it_runs_on_uvloop_too(files: Files) -> None:
    async def play() -> None:
        async with tls_device(files) as device, running(to(files, device), 1) as bus:
            assert isinstance(await bus.carry_out(coil(1)), Echoed)
            device.deaf = True
            assert isinstance(await bus.carry_out(pulse(1)), Ambiguous)
            device.deaf = False
            assert await bus.wait_connected(5)
            assert isinstance(await bus.carry_out(coil(1)), Echoed)
        stranger = files.pair("stranger")
        async with tls_device(files) as device:
            wrong = replace(to(files, device), certificate_file=stranger.certificate, key_file=stranger.key)
            async with running(wrong, 1, connected=False) as bus:
                await told(bus, "does not know who signed it")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(play(), 20))


async def test_nothing_of_a_link_is_left_when_it_is_closed(files: Files) -> None:
    async with tls_device(files) as device:
        for _ in range(3):
            async with running(to(files, device), 1) as bus:
                assert isinstance(await bus.carry_out(coil(1)), Echoed)
        await until(lambda: not device.links)
        assert device.ends == ["FIN"] * 3


def _open_to_all(folder: Path, transport: Tls) -> Path:
    path = folder / "open.key"
    path.write_bytes(transport.key_file.read_bytes())
    path.chmod(0o644)
    return path


def _nonsense(folder: Path) -> Path:
    path = folder / "nonsense.pem"
    path.write_text("nonsense")
    path.chmod(0o600)
    return path
