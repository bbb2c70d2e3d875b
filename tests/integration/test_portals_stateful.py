"""Bus, door and turnstile driven at random: faults, people, cancellations, restarts; I1 to I6 hold.

The device's own record of carried-out unlocks and of passages is the oracle, with the journal beside it.
``PORTAL_EXAMPLES`` sets how many plays are tried (``make soak`` tries more).
"""

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from drivers.simulators.modbus_faults import Fault, FaultKind
from drivers.simulators.modbus_relays import Edge
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.physics import SimulatedDoor, SimulatedTurnstile, Wire
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.events import EventKind
from gateway.domain.ids import GatewayId
from gateway.doors import Doors
from gateway.portals import Portals
from gateway.settings import AccessPoint, Camera, Device, Door, Lane, Sensors, Site, Turnstile
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.walkup.door_actor import settle_open_grants
from gateway.walkup.recorder import Recorder
from tests.e2e import oracle
from tests.fakes.modbus_rig import until
from tests.fakes.profiled_rig import PROFILES
from tests.integration.test_portals import PROFILE, House, wire
from tests.soak.stage import Board, check

EXAMPLES = int(os.environ.get("PORTAL_EXAMPLES", "6"))
STEPS = 10
TIMEOUT_S = 0.15
_KINDS = [k for k in FaultKind if k is not FaultKind.SLOW]


def site(state: Path, port: int) -> Site:
    main = Door(
        id="main",
        name="M",
        device="d",
        channel=3,
        pulse_ms=500,
        sensors=Sensors(contact=wire(3), rex=wire(4)),
    )
    gate = Turnstile(
        id="gate",
        name="G",
        device="d",
        wait_s=1.0,
        way_in=Lane(channel=1, passed=wire(1)),
        way_out=Lane(channel=2, passed=wire(2)),
    )
    sides = [("main", "in"), ("gate", "in"), ("gate", "out")]
    return Site(
        name="stateful",
        state_folder=str(state),
        cameras=(Camera(id="c", url="rtsp://127.0.0.1:9/none"),),
        devices=(Device(id="d", profile=PROFILE, host="127.0.0.1", port=port, timeout_s=TIMEOUT_S),),
        doors=(main,),
        turnstiles=(gate,),
        access_points=tuple(
            AccessPoint(id=f"{d}-{w}", name="P", camera="c", door=d, direction=w) for d, w in sides
        ),
    )


class Play(RuleBasedStateMachine):
    """Each rule is one thing that happens; the loop goes on between them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.state = Path(tempfile.mkdtemp(prefix="facegate-play-"))
        self.tasks: list[asyncio.Task[object]] = []
        self.people_tasks: set[asyncio.Task[object]] = set()
        self.runner.run(self._begin())

    def _edge(self, edge: Edge) -> None:
        self.house.edge(edge)

    async def _begin(self) -> None:
        self.device = ProfiledDevice(PROFILES[PROFILE], on_edge=self._edge)
        self.server = ModbusServer([self.device])
        await self.server.__aenter__()
        self.leaf = SimulatedDoor(
            name="main",
            relays=self.device.relays,
            relay=3,
            contact=Wire(self.device, 3),
            rex=Wire(self.device, 4),
        )
        ways = {"in": (1, Wire(self.device, 1)), "out": (2, Wire(self.device, 2))}
        self.gate = SimulatedTurnstile(name="gate", relays=self.device.relays, ways=ways, wait_s=1.0)
        await self._start()

    async def _start(self) -> None:
        clock, plan = SystemClock(), site(self.state, self.server.port)
        self.journal = await SqliteJournal.open(self.state / "journal.db", GatewayId("gateway-1"))
        await settle_open_grants(self.journal, clock)
        self.doors = Doors.of_site(plan)
        passages: list = []
        portals = Portals(
            site=plan,
            doors=self.doors,
            journal=self.journal,
            recorder=Recorder(self.journal, clock),
            clock=clock,
            on_passage=passages.append,
        ).compose()
        people = [self.leaf, self.gate]
        self.house = House(
            plan, self.device, self.server, self.journal, self.state, portals, passages, people
        )
        await self.doors.start(lambda _health: None)
        self.tasks = [asyncio.create_task(part()) for part in portals.parts().values()]
        self.tasks.append(asyncio.create_task(portals.recorder.run()))

    async def _stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.house.portals.recorder.flush()
        await self.doors.aclose()
        await self.journal.close()

    def _do(self, deed: object) -> None:
        self.runner.run(deed)

    def _someone(self, deed: object) -> None:
        async def start() -> None:
            task = asyncio.ensure_future(deed)
            self.people_tasks.add(task)
            await asyncio.sleep(0.02)

        self._do(start())

    @rule(side=st.sampled_from([("main", "in"), ("gate", "in"), ("gate", "out")]), extended=st.booleans())
    def grant(self, side: tuple[str, str], extended: bool) -> None:
        async def offer() -> None:
            if not self.house.portals.actor(*side).busy:
                self.house.offer(*side, extended=extended)
            await asyncio.sleep(random.choice([0.0, 0.005, 0.05]))

        self._do(offer())

    @rule()
    def somebody_walks_through_the_door(self) -> None:
        if not self.leaf.is_open:
            self._someone(self.leaf.person_walks(patience_s=0.3, open_s=0.3))

    @rule(way=st.sampled_from(["in", "out"]), people=st.integers(1, 2))
    def somebody_walks_through_the_turnstile(self, way: str, people: int) -> None:
        self._someone(self.gate.person_walks(way, people=people))

    @rule(
        kind=st.sampled_from(_KINDS),
        code=st.sampled_from([1, 2, 3, 4, 5, 6, 8, 10, 11, 99]),
        function=st.sampled_from([1, 2, 5, 5, 5]),
    )
    def fault(self, kind: FaultKind, code: int, function: int) -> None:
        self.server.faults.once(Fault(kind=kind, code=code, seconds=0.1, functions=frozenset({function})))

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.4]))
    def time_passes(self, seconds: float) -> None:
        self._do(asyncio.sleep(seconds))

    @rule()
    def the_link_is_cut(self) -> None:
        self._do(self.server.cut())

    @rule(dark_s=st.sampled_from([0.0, 0.2]))
    def the_device_reboots(self, dark_s: float) -> None:
        self._do(self.server.reboot(dark_s))

    @rule()
    def an_actor_is_cancelled_and_runs_again(self) -> None:
        async def again() -> None:
            actor = self.house.portals.actor("main", "in")
            index = list(self.house.portals.parts()).index("door-actor-main")
            self.tasks[index].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.tasks[index]
            self.tasks[index] = asyncio.create_task(actor.run())

        self._do(again())

    @rule()
    def the_gateway_is_restarted(self) -> None:
        async def again() -> None:
            await self._stop()
            await self._start()

        self._do(again())

    @rule()
    def fault_is_said_within_three_seconds(self) -> None:
        """I6."""

        async def look() -> None:
            await self.server.refuse()
            await until(lambda: not self.doors.ready, 3)
            await self.server.listen()

        self._do(look())

    def teardown(self) -> None:
        try:
            self.runner.run(self._end())
            self._check()
        finally:
            self.runner.close()
            shutil.rmtree(self.state)

    async def _end(self) -> None:
        self.server.faults.clear()
        await asyncio.gather(*self.people_tasks, return_exceptions=True)
        await asyncio.sleep(0.8)
        await self._stop()
        journal = await SqliteJournal.open(self.state / "journal.db", GatewayId("gateway-1"))
        await settle_open_grants(journal, SystemClock())
        await journal.close()
        await self.server.__aexit__()

    def _check(self) -> None:
        """I1, I2, I4, I5 as in the soak; I3 and one passage verdict a grant here."""
        door = Board(PROFILE, {"main-in": 3})
        gate = Board(PROFILE, {"gate-in": 1, "gate-out": 2}, turnstile=True)
        for board in (door, gate):
            board.device, board.server = self.device, self.server
        check(self.state, [door, gate])
        assert not any(self.device.relays.contact(n) for n in (1, 2, 3)), "left open"
        events = oracle.journal(self.state)
        verdicts = [e.grant for e in events if e.kind in {EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN}]
        assert len(verdicts) == len(set(verdicts)), "two verdicts for one grant"
        outcomes = {e.grant: e.data["outcome"] for e in events if e.kind == EventKind.UNLOCK_OUTCOME}
        assert all(outcomes[g] in {"confirmed", "sent", "ambiguous"} for g in verdicts), "nothing moved"
        for way in ("in", "out"):
            tokens = sum(e.kind == EventKind.ACCESS_GRANTED and e.point == f"gate-{way}" for e in events)
            taken = sum(e.kind == EventKind.ACCESS_TAKEN and e.point == f"gate-{way}" for e in events)
            assert taken <= min(tokens, self.gate.passages.get(way, 0)), "more passages than tokens"
        assert not self.gate.free_mode, "both ways were released at once"


def test_portals_at_random() -> None:
    run_state_machine_as_test(
        Play,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_portals_at_random_for_long() -> None:
    run_state_machine_as_test(
        Play,
        settings=settings(
            max_examples=int(os.environ.get("PORTAL_EXAMPLES", "150")),
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
