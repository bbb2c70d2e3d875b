"""Doors, turnstiles and interlocks with people at them: real Modbus, simulated devices, a real journal."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drivers.modbus.profiles import all_profiles
from drivers.simulators.modbus_relays import Edge
from drivers.simulators.modbus_server import ModbusServer
from drivers.simulators.physics import SimulatedDoor, SimulatedTurnstile, Wire
from drivers.simulators.profiled import ProfiledDevice
from gateway.domain.decisions import DenyReason, Grant
from gateway.domain.door_state import Acknowledge, EndHold, HoldOpen, LockDown, Phase
from gateway.domain.doors import Outcome
from gateway.domain.errors import Rejected
from gateway.domain.events import EventKind
from gateway.domain.ids import AccessPointId, GatewayId, GrantId, PersonId, uuid7
from gateway.domain.readings import Direction
from gateway.domain.turnstile_state import TurnstilePhase
from gateway.doors import Doors
from gateway.portals import Portals
from gateway.settings import (
    AccessPoint,
    Camera,
    Device,
    Door,
    Input,
    Interlock,
    Lane,
    Sensors,
    Site,
    Turnstile,
    TurnstileSensors,
)
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock
from gateway.walkup.door_actor import GrantOrder, Passage
from gateway.walkup.recorder import Recorder
from tests.e2e import oracle
from tests.fakes.modbus_rig import until

DEVICES = Path(__file__).parents[2] / "config" / "devices"
PROFILE = "waveshare-relay-di"
PERSON = PersonId("0190b0a0-0000-7000-8000-000000000001")


@dataclass
class House:
    site: Site
    device: ProfiledDevice
    server: ModbusServer
    journal: SqliteJournal
    state: Path
    portals: Portals
    passages: list[Passage] = field(default_factory=list)
    people: list[SimulatedDoor | SimulatedTurnstile] = field(default_factory=list)
    _numbers: itertools.count = field(default_factory=itertools.count)

    def edge(self, edge: Edge) -> None:
        for one in self.people:
            one.edge(edge)

    def at(self, door: str, **wires: int) -> SimulatedDoor:
        """Hang people onto a door: sensor names to input numbers."""
        settings = next(d for d in self.site.doors if d.id == door)
        known = {name: Wire(self.device, n, closed=name != "fire") for name, n in wires.items()}
        made = SimulatedDoor(name=door, relays=self.device.relays, relay=settings.channel, **known)
        self.people.append(made)
        return made

    async def grant(self, door: str, way: str = "in", *, extended: bool = False) -> Passage:
        """Let somebody in, and wait for what became of the frame."""
        seen = len(self.passages)
        self.offer(door, way, extended=extended)
        await until(lambda: len(self.passages) > seen)
        return self.passages[-1]

    def offer(self, door: str, way: str = "in", *, extended: bool = False) -> GrantId:
        grant = Grant(
            grant_id=GrantId(uuid7(time.time_ns() // 1_000_000)),
            access_point_id=AccessPointId(f"{door}-{way}"),
            person_id=PERSON,
            expires_ns=time.monotonic_ns() + 1_500_000_000,
            extended=extended,
        )
        actor = self.portals.actor(door, way)
        assert actor.offer(GrantOrder(grant=grant, direction=Direction(way), facts={}, frame_ns=0))
        return grant.grant_id

    async def events(self, *kinds: EventKind) -> list[oracle.Kept]:
        await self.portals.recorder.flush()
        return [e for e in oracle.journal(self.state) if e.kind in kinds]

    async def alarms(self) -> list[tuple[str, bool]]:
        return [
            (str(e.data["alarm"]), bool(e.data["raised"])) for e in await self.events(EventKind.DOOR_ALARM)
        ]

    async def accusations(self) -> list[str]:
        """Alarms about people: not those of a machine too busy to look in time."""
        return [alarm for alarm, _ in await self.alarms() if not alarm.endswith("_unknown")]

    async def passage_words(self) -> list[str]:
        found = await self.events(EventKind.ACCESS_TAKEN, EventKind.ACCESS_NOT_TAKEN)
        return [f"{e.kind} {e.data['passage']}" for e in found]


def wire(number: int, on: str = "closed") -> Input:
    return Input(device="d", input=number, on=on)


@contextlib.asynccontextmanager
async def house(
    tmp_path: Path,
    *,
    doors: tuple[Door, ...] = (),
    turnstiles: tuple[Turnstile, ...] = (),
    interlocks: tuple[Interlock, ...] = (),
) -> AsyncIterator[House]:
    device = ProfiledDevice(all_profiles([DEVICES])[PROFILE], on_edge=lambda edge: made.edge(edge))  # noqa: PLW0108  # made below
    device.inputs.put(4, high=True)  # the fire loop is closed
    async with ModbusServer([device]) as server:
        points = [(d.id, "in") for d in doors] + [(t.id, way) for t in turnstiles for way, _ in t.lanes()]
        site = Site(
            name="house",
            state_folder=str(tmp_path),
            cameras=(Camera(id="c", url="rtsp://127.0.0.1:9/none"),),
            devices=(Device(id="d", profile=PROFILE, host=server.host, port=server.port, timeout_s=0.3),),
            doors=doors,
            turnstiles=turnstiles,
            interlocks=interlocks,
            access_points=tuple(
                AccessPoint(id=f"{door}-{way}", name="P", camera="c", door=door, direction=way)
                for door, way in points
            ),
        )
        clock = SystemClock()
        journal = await SqliteJournal.open(tmp_path / "journal.db", GatewayId("gateway-1"))
        hardware = Doors.of_site(site)
        passages: list[Passage] = []
        portals = Portals(
            site=site,
            doors=hardware,
            journal=journal,
            recorder=Recorder(journal, clock),
            clock=clock,
            on_passage=passages.append,
        ).compose()
        made = House(site, device, server, journal, tmp_path, portals, passages)
        await hardware.start(lambda _health: None)
        parts = [portals.recorder.run, *portals.parts().values()]
        tasks = [asyncio.create_task(part()) for part in parts]
        try:
            await until(lambda: hardware.ready and all(s.latest().on for s in hardware.sensors.values()))
            await until(lambda: all(None not in s.latest().on.values() for s in hardware.sensors.values()))
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await hardware.aclose()
            await journal.close()


def main_door(**changes: object) -> Door:
    sensors = Sensors(contact=wire(1), rex=wire(2), tamper=wire(3), fire=wire(4, "open"))
    return Door(id="main", name="Main", device="d", channel=1, pulse_ms=500, sensors=sensors, **changes)


def state_of(made: House, door: str = "main") -> object:
    return made.portals.portals[door].state


def phase(made: House, door: str = "main") -> object:
    return made.portals.portals[door].state.phase


async def test_somebody_who_goes_through_has_taken_the_access(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        leaf = made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await until(lambda: phase(made) is Phase.LOCKED)
        walking = asyncio.create_task(leaf.person_walks(open_s=0.4))
        passage = await made.grant("main")
        assert passage.actuation is not None
        assert passage.actuation.outcome is Outcome.CONFIRMED
        assert await walking
        await until(lambda: phase(made) is Phase.LOCKED)
        assert await made.passage_words() == ["access_taken opened"]
        assert await made.accusations() == []
        assert made.device.relays.pulses(1) == 1


async def test_somebody_who_does_not_go_has_not(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await made.grant("main")
        await asyncio.sleep(1.8)
        assert await made.passage_words() == ["access_not_taken not_opened"]


async def test_fault_28_forced_once_held_with_a_warning_and_bounces_ignored(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(held_warning_s=0.6, held_alarm_s=1.2),)) as made:
        leaf = made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await until(lambda: phase(made) is Phase.LOCKED)
        await leaf.bounce()
        await asyncio.sleep(0.3)
        assert await made.accusations() == []
        await leaf.force(open_s=0.5)
        await until(lambda: phase(made) is Phase.LOCKED)
        assert await made.alarms() == [("forced", True), ("forced", False)]
        holding = asyncio.create_task(leaf.person_holds(hold_s=1.8))
        await made.grant("main")
        await holding
        await until(lambda: phase(made) is Phase.LOCKED)
        assert (await made.alarms())[2:] == [
            ("held_warning", True),
            ("held", True),
            ("held_warning", False),
            ("held", False),
        ]


async def test_a_request_to_exit_is_no_break_in(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(rex="unlock"),)) as made:
        leaf = made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await until(lambda: phase(made) is Phase.LOCKED)
        await made.portals.door("main").order(LockDown(on=True), "guard")
        await leaf.press_rex()
        await until(lambda: made.device.relays.pulses(1) == 1)
        assert await leaf.person_walks(open_s=0.3), "the way out stays free, also in lockdown"
        assert await made.accusations() == []
        requests = await made.events(EventKind.DOOR_REQUEST, EventKind.DOOR_ORDER)
        assert [e.kind for e in requests] == ["door_order", "door_request"]


async def test_lockdown_lets_nobody_in(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        made.at("main", contact=1, rex=2, tamper=3, fire=4)
        portal = made.portals.door("main")
        await portal.order(LockDown(on=True), "guard")
        assert portal.obstacle(Direction.IN) is DenyReason.DOOR_LOCKED_DOWN
        passage = await made.grant("main")
        assert passage.refused is DenyReason.DOOR_LOCKED_DOWN
        await portal.order(LockDown(on=False), "guard")
        assert (await made.grant("main")).actuation is not None
        assert made.device.relays.pulses(1) == 1


async def test_held_open_by_leases_until_the_order_ends(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        leaf = made.at("main", contact=1, rex=2, tamper=3, fire=4)
        portal = made.portals.door("main")
        await portal.order(HoldOpen(order_id="o", until_ns=time.monotonic_ns() + 1_500_000_000), "guard")
        await until(lambda: leaf.released)
        await asyncio.sleep(1.0)
        assert leaf.released, "leases are renewed before they end"
        assert len(made.device.relays.edges) == 1
        await until(lambda: not leaf.released, 3)
        await portal.order(HoldOpen(order_id="p", until_ns=time.monotonic_ns() + 60_000_000_000), "guard")
        await until(lambda: leaf.released)
        await portal.order(EndHold(), "guard")
        await until(lambda: not leaf.released, 2)


async def test_fault_26_fire_at_once_no_relock_until_clear_and_acknowledged(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(relock="close"),)) as made:
        leaf = made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await until(lambda: phase(made) is Phase.LOCKED)
        began = time.monotonic()
        leaf.set_fire(on=True)
        await until(lambda: phase(made) is Phase.FIRE, 1)
        assert time.monotonic() - began < 1
        await leaf.force(open_s=0.3)
        leaf.set_fire(on=False)
        await asyncio.sleep(0.4)
        assert phase(made) is Phase.FIRE, "latched"
        await made.portals.door("main").order(Acknowledge(), "guard")
        await until(lambda: phase(made) is Phase.LOCKED)
        assert await made.alarms() == [("fire", True), ("fire", False)]


async def test_fault_27_a_fire_input_that_cannot_be_read_is_neither_fire_nor_none(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        made.at("main", contact=1, rex=2, tamper=3, fire=4)
        await until(lambda: phase(made) is Phase.LOCKED)
        await made.server.refuse()
        await until(lambda: "fire_unknown" in made.portals.portals["main"].state.alarms, 3)
        assert phase(made) is Phase.UNKNOWN
        assert ("fire_unknown", True) in await made.alarms()
        assert ("fire", True) not in await made.alarms()
        await made.server.listen()
        await until(lambda: phase(made) is Phase.LOCKED)


async def test_fault_15_a_welded_relay_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, doors=(main_door(),)) as made:
        made.at("main", contact=1, rex=2, tamper=3, fire=4)
        made.device.relays.weld(1)
        leaf = made.people[0]
        assert isinstance(leaf, SimulatedDoor)
        await made.grant("main")
        await asyncio.sleep(2.2)
        await leaf.force(open_s=0.4)  # the coil says OFF, and yet it opens
        assert ("forced", True) in await made.alarms()


def gate(**changes: object) -> Turnstile:
    return Turnstile(
        id="gate",
        name="Gate",
        device="d",
        wait_s=1.0,
        way_in=Lane(channel=1, passed=wire(1)),
        way_out=Lane(channel=2, passed=wire(2)),
        sensors=TurnstileSensors(free=wire(3)),
        **changes,
    )


def turnstile_people(made: House) -> SimulatedTurnstile:
    ways = {"in": (1, Wire(made.device, 1)), "out": (2, Wire(made.device, 2))}
    people = SimulatedTurnstile(
        name="gate", relays=made.device.relays, ways=ways, free=Wire(made.device, 3), wait_s=1.0
    )
    made.people.append(people)
    return people


async def test_fault_30_passed_tailgate_wrong_way_and_expired(tmp_path: Path) -> None:
    async with house(tmp_path, turnstiles=(gate(),)) as made:
        people = turnstile_people(made)
        await made.grant("gate")
        assert await people.person_walks("in")
        await until(lambda: phase(made, "gate") is TurnstilePhase.LOCKED)
        assert await made.passage_words() == ["access_taken passed"]
        await made.grant("gate")
        assert await people.person_walks("in", people=2)
        await asyncio.sleep(0.3)
        assert ("tailgate", True) in await made.alarms()
        await made.grant("gate", "out")
        await people.passes("in")
        await asyncio.sleep(0.2)
        assert ("wrong_way", True) in await made.alarms()
        await until(lambda: phase(made, "gate") is TurnstilePhase.LOCKED, 4)
        words = await made.passage_words()
        assert words[-1] == "access_not_taken not_passed"
        assert sum(w.startswith("access_taken") for w in words) == 2


async def test_fault_30_two_ways_at_once_give_out_one_token(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, turnstiles=(gate(),)) as made:
        people = turnstile_people(made)
        made.offer("gate", "in")
        made.offer("gate", "out")
        await until(lambda: len(made.passages) == 2)
        refused = [p.refused for p in made.passages]
        assert set(refused) == {None, DenyReason.BUSY}
        assert made.device.relays.pulses(1) + made.device.relays.pulses(2) == 1
        assert not people.free_mode


async def test_free_mode_stops_the_pulses(tmp_path: Path) -> None:
    async with house(tmp_path, turnstiles=(gate(),)) as made:
        people = turnstile_people(made)
        people.set_free(on=True)
        await until(lambda: phase(made, "gate") is TurnstilePhase.FREE)
        assert (await made.grant("gate")).refused is DenyReason.DOOR_NOT_READY
        people.set_free(on=False)
        await until(lambda: phase(made, "gate") is TurnstilePhase.LOCKED)
        assert (await made.grant("gate")).actuation is not None


def mantrap() -> tuple[Door, ...]:
    return tuple(
        Door(
            id=name,
            name=name,
            device="d",
            channel=n,
            pulse_ms=500,
            relock="close",
            sensors=Sensors(contact=wire(n)),
        )
        for n, name in enumerate(("outer", "inner"), start=1)
    )


async def test_fault_29_two_grants_at_once_open_one_door(tmp_path: Path) -> None:
    group = Interlock(id="trap", doors=("outer", "inner"), reserve_s=2.0)
    async with house(tmp_path, doors=mantrap(), interlocks=(group,)) as made:
        outer, inner = made.at("outer", contact=1), made.at("inner", contact=2)
        for door in ("outer", "inner"):
            await until(lambda door=door: phase(made, door) is Phase.LOCKED)
            await until(lambda door=door: made.portals.door(door).obstacle(Direction.IN) is None)
        made.offer("outer")
        made.offer("inner")
        await until(lambda: len(made.passages) == 2)
        assert {p.refused for p in made.passages} == {None, DenyReason.INTERLOCK}
        assert outer.released != inner.released
        with pytest.raises(Rejected):
            await made.portals.door("outer").order(HoldOpen(order_id="o", until_ns=1), "guard")


async def test_fault_29_a_contact_that_is_not_known_denies(tmp_path: Path) -> None:
    group = Interlock(id="trap", doors=("outer", "inner"), reserve_s=2.0)
    async with house(tmp_path, doors=mantrap(), interlocks=(group,)) as made:
        made.at("outer", contact=1)
        inner = made.at("inner", contact=2)
        await until(lambda: made.portals.door("outer").obstacle(Direction.IN) is None)
        inner.open("by hand")
        await until(lambda: made.portals.door("outer").obstacle(Direction.IN) is DenyReason.INTERLOCK)
        assert (await made.grant("outer")).refused is DenyReason.INTERLOCK
