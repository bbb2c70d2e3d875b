"""Devices made from profiles, read and written by somebody else's codec."""

import shutil

import pytest

from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.profiled import ProfiledDevice
from tests.fakes.profiled_rig import PROFILES
from tests.integration.test_modbus_interop import needs_mbpoll, run

MBPOLL = shutil.which("mbpoll") or "mbpoll"
_KIND = {"coils": "0", "discrete_inputs": "1", "input": "3", "holding": "4"}


async def mbpoll(server: ModbusServer, unit: int, kind: str, address: int, *more: str) -> str:
    words = [MBPOLL, "-0", "-1", "-q", "-m", "tcp", "-p", str(server.port), "-a", str(unit)]
    words += ["-t", kind, "-r", str(address)]
    code, output = await run(*words, "127.0.0.1", *more)
    assert code == 0, output
    return output


@needs_mbpoll
@pytest.mark.parametrize("name", sorted(PROFILES))
async def test_mbpoll_switches_an_output_and_reads_it_back(name: str) -> None:
    profile = PROFILES[name]
    out, device = profile.outputs, ProfiledDevice(profile)
    place = out.readback
    kind = _KIND[place.space]
    async with ModbusServer([device]) as server:
        on = "1" if out.write == "coil" else str(out.on)
        off = "0" if out.write == "coil" else str(out.off)
        write = "0" if out.write == "coil" else "4"
        await mbpoll(server, device.unit, write, out.first, on)
        assert device.relays.contact(1)
        assert "1" in (await mbpoll(server, device.unit, kind, place.first)).split("]:")[-1]
        await mbpoll(server, device.unit, write, out.first, off)
        assert not device.relays.contact(1)
        assert "1" not in (await mbpoll(server, device.unit, kind, place.first)).split("]:")[-1]


@needs_mbpoll
@pytest.mark.parametrize("name", sorted(n for n, p in PROFILES.items() if p.inputs))
async def test_mbpoll_reads_an_input(name: str) -> None:
    profile = PROFILES[name]
    assert profile.inputs is not None
    place, device = profile.inputs.state, ProfiledDevice(profile)
    async with ModbusServer([device]) as server:
        assert "1" not in (await mbpoll(server, device.unit, _KIND[place.space], place.first)).split("]:")[-1]
        device.inputs.put(1, high=True)
        assert "1" in (await mbpoll(server, device.unit, _KIND[place.space], place.first)).split("]:")[-1]
