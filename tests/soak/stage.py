"""Boards, faults and a gateway killed again and again; then the boards' record against the journal."""

import asyncio
import bisect
import contextlib
import random
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from drivers.modbus.profiles import all_profiles
from drivers.simulators.modbus_faults import Fault, FaultKind
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.events import EventKind
from tests.e2e import oracle

DEVICES = Path(__file__).parents[2] / "config" / "devices"
PULSE_MS, LANE_MS, WATCHDOG_MS = 500, 300, 2000
TTL_S = 1.5
SLOWEST_S = 0.2
TIMEOUT_S = 0.15
_KINDS = [k for k in FaultKind if k is not FaultKind.SLOW]


@dataclass
class Board:
    """One simulated device with its doors: (lock's access point, relay)."""

    profile: str
    points: dict[str, int]
    turnstile: bool = False
    device: ProfiledDevice = field(init=False)
    server: ModbusServer = field(init=False)

    def __post_init__(self) -> None:
        self.device = ProfiledDevice(all_profiles([DEVICES])[self.profile])
        self.server = ModbusServer([self.device])

    def unlocks(self, relay: int) -> list[int]:
        """When an unlock of this relay was carried out."""
        base = 0x0200 if self.profile.startswith("waveshare") else 0
        found = []
        for at, _, pdu in self.server.carried_out:
            address, value = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
            if pdu[0] == 5 and address == base + relay - 1 and value != 0:
                found.append(at)
        return found


def boards() -> list[Board]:
    return [
        Board("waveshare-relay", {f"a-{n}": n for n in range(1, 7)}),
        Board("wago-750", {f"b-{n}": n for n in range(1, 5)}),
        Board("waveshare-relay-di", {"gate-in": 1, "gate-out": 2}, turnstile=True),
    ]


def site_file(state: Path, stage: list[Board]) -> Path:
    """The site of these boards. Nobody is ever seen: the camera is never opened."""
    lines = [f'name = "soak"\nstate_folder = "{state}"']
    for i, board in enumerate(stage):
        lines += ["[[devices]]", f'id = "d{i}"', f'profile = "{board.profile}"', 'host = "127.0.0.1"']
        lines += [f"port = {board.server.port}", f"timeout_s = {TIMEOUT_S}"]
        if board.turnstile:
            lines += ["[[turnstiles]]", 'id = "gate"', 'name = "G"', f'device = "d{i}"']
            lines += [f"pulse_ms = {LANE_MS}", "wait_s = 1", "out = { channel = 2 }"]
            lines += [f'in = {{ channel = 1, passed = {{ device = "d{i}", input = 1 }} }}']
            sides = [("gate-in", "gate", "in"), ("gate-out", "gate", "out")]
        else:
            for point, relay in board.points.items():
                lines += ["[[doors]]", f'id = "{point}"', f'name = "{point}"', f'device = "d{i}"']
                lines += [f"channel = {relay}", f"pulse_ms = {PULSE_MS}"]
            sides = [(p, p, "in") for p in board.points]
        for point, door, way in sides:
            lines += ["[[cameras]]", f'id = "c-{point}"', 'url = "rtsp://127.0.0.1:9/none"']
            lines += ["[[access_points]]", f'id = "{point}"', f'name = "{point}"', f'camera = "c-{point}"']
            lines += [f'door = "{door}"', f'direction = "{way}"']
    path = state / "site.toml"
    path.write_text("\n".join(lines))
    return path


@contextlib.asynccontextmanager
async def gateway(path: Path, pause_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.soak.child",
        str(path),
        str(pause_s),
        str(TTL_S),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"serving\n"
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def trouble(stage: list[Board], chance: random.Random) -> None:
    """One fault after the other, on any board, until cancelled."""
    while True:
        await asyncio.sleep(chance.uniform(0.02, 0.25))
        server = chance.choice(stage).server
        match chance.choice(["fault"] * 8 + ["cut", "cut", "reboot", "gone"]):
            case "fault":
                kind = chance.choice(_KINDS)
                code = chance.choice([1, 2, 3, 4, 5, 6, 8, 10, 11])
                fault = Fault(
                    kind=kind,
                    seconds=chance.uniform(0.0, SLOWEST_S),
                    code=code,
                    functions=frozenset({chance.choice([1, 2, 3, 5, 5, 5])}),
                )
                server.faults.once(fault)
            case "cut":
                await server.cut()
            case "reboot":
                await server.reboot(chance.uniform(0.0, 0.3))
            case "gone":
                await server.refuse()
                await asyncio.sleep(chance.uniform(0.0, 0.4))
                await server.listen()


async def soak(
    state: Path, grants: int, *, seed: int, pause_s: float = 0.08, longest_life_s: float = 4.0
) -> tuple[list[Board], int]:
    """Run until so many grants are on record; returns the boards and how often the gateway was killed."""
    chance = random.Random(seed)
    stage = boards()
    kills = 0
    async with contextlib.AsyncExitStack() as stack:
        for board in stage:
            await stack.enter_async_context(board.server)
        path = site_file(state, stage)
        faults = asyncio.create_task(trouble(stage, chance), name="trouble")
        try:
            while granted(state) < grants:
                async with gateway(path, pause_s) as process:
                    await asyncio.sleep(chance.uniform(0.1, longest_life_s))
                    assert process.returncode is None, "the gateway ended by itself"
                    kills += 1
        finally:
            faults.cancel()
            await asyncio.gather(faults, return_exceptions=True)
        await asyncio.sleep((PULSE_MS + WATCHDOG_MS) / 1000 + 0.5)
        for board in stage:
            board.server.faults.clear()
            assert not any(board.device.relays.contact(n) for n in board.points.values()), "left open"
        async with gateway(path, 1e6) as process:  # settles what the last kill left open
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(20):
                await process.wait()
    return stage, kills


def granted(state: Path) -> int:
    if not (state / "journal.db").exists():
        return 0
    with contextlib.closing(
        sqlite3.connect(f"file:{state / 'journal.db'}?mode=ro", uri=True, timeout=10)
    ) as db:
        return int(db.execute("SELECT count(*) FROM events WHERE kind = 'access_granted'").fetchone()[0])


def check(state: Path, stage: list[Board]) -> dict[str, int]:
    """Every invariant, from the boards' own record and the journal. Returns what was counted."""
    events = oracle.journal(state)
    outcomes = {}
    for event in events:
        if event.kind == EventKind.UNLOCK_OUTCOME:
            assert event.grant not in outcomes, "two outcomes of one grant"
            outcomes[event.grant] = event.data
    intents: dict[str, list[tuple[int, str]]] = {}
    for event in events:
        if event.kind == EventKind.ACCESS_GRANTED:
            assert event.grant in outcomes, "a grant without its outcome"
            intents.setdefault(event.point or "", []).append((event.mono_ns, event.grant))
    counted: dict[str, int] = {"grants": len(outcomes), "pulses": 0}
    for board in stage:
        for point, relay in board.points.items():
            _check_lock(board, relay, sorted(intents.get(point, [])), outcomes, counted)
    return counted


def _check_lock(
    board: Board,
    relay: int,
    intents: list[tuple[int, str]],
    outcomes: dict[str, dict[str, object]],
    counted: dict[str, int],
) -> None:
    times = [at for at, _ in intents]
    frames: dict[str, int] = {}
    unlocks = board.unlocks(relay)
    for at in unlocks:
        place = bisect.bisect_right(times, at) - 1
        assert place >= 0, "an unlock without any grant on record before it"
        began, grant = intents[place]
        frames[grant] = frames.get(grant, 0) + 1
        assert at - began <= (TTL_S + TIMEOUT_S + SLOWEST_S + 0.5) * 1e9, (
            "an unlock after its grant had expired"
        )
    for _, grant in intents:
        outcome, pulses = str(outcomes[grant]["outcome"]), frames.get(grant, 0)
        counted[outcome] = counted.get(outcome, 0) + 1
        counted["pulses"] += pulses
        low, high = {"confirmed": (1, 1), "sent": (1, 1), "ambiguous": (0, 1)}.get(outcome, (0, 0))
        assert low <= pulses <= high, f"{outcome}, but {pulses} pulses: {outcomes[grant]}"
    held = LANE_MS if board.turnstile else PULSE_MS
    held += WATCHDOG_MS if board.device.profile.pulse_class == "B" else 0
    for edge in board.device.relays.edges:
        if edge.relay == relay and not edge.on:
            last = unlocks[bisect.bisect_right(unlocks, edge.mono_ns) - 1]
            on_ms = (edge.mono_ns - last) / 1e6
            assert on_ms <= held + 500, f"{board.profile} {relay}: ON for {on_ms:.0f} of at most {held} ms"
