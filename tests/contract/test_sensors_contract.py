"""What every door's sensors keep to, whatever reads them."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise

import pytest

from drivers.modbus.sensors import DoorSensors, InputRef, SensorMap
from drivers.simulators.door_controller import DoorController
from gateway.domain.ids import DoorId
from gateway.domain.readings import Direction, Readings, Sensor
from gateway.ports import Sensors
from tests.fakes.modbus_rig import Rig, rig, until
from tests.fakes.sensors import FakeSensors


class SensorsContract(ABC):
    """A door with a contact and a counted passage in. Subclass it and say how to move them."""

    @pytest.fixture
    @abstractmethod
    def sensors(self) -> AsyncIterator[Sensors] | Sensors:
        """Started."""

    @abstractmethod
    async def move(self, *, contact: bool | None = None, passed: bool = False) -> None:
        """The leaf opens or shuts, or a person passes. The sensors have noticed when this returns."""

    @abstractmethod
    async def break_link(self) -> None:
        """They cannot be read from now on, and know it when this returns."""

    async def test_a_look_says_what_is_and_what_is_not_fitted_is_not_guessed(self, sensors: Sensors) -> None:
        await self.move(contact=False)
        assert sensors.latest().get(Sensor.CONTACT) is False
        await self.move(contact=True)
        assert sensors.latest().get(Sensor.CONTACT) is True
        assert sensors.latest().get(Sensor.FIRE) is None
        assert Direction.OUT not in sensors.latest().passages

    async def test_looks_are_numbered_and_timed(self, sensors: Sensors) -> None:
        looks: list[Readings] = []
        sensors.subscribe(looks.append)
        await self.move(contact=True)
        await self.move(contact=False)
        assert len(looks) >= 2
        assert all(a.seq < b.seq and a.at_ns <= b.at_ns for a, b in pairwise(looks))
        assert looks[-1].at_ns <= time.monotonic_ns()
        assert sensors.latest() == looks[-1]

    async def test_edges_and_passages_only_grow(self, sensors: Sensors) -> None:
        await self.move(contact=False)
        before = sensors.latest()
        for _ in range(2):
            await self.move(contact=True)
            await self.move(contact=False)
            await self.move(passed=True)
        after = sensors.latest()
        assert after.edges[Sensor.CONTACT] == before.edges[Sensor.CONTACT] + 2
        assert (after.passages[Direction.IN] or 0) == (before.passages[Direction.IN] or 0) + 2

    async def test_what_cannot_be_read_is_unknown(self, sensors: Sensors) -> None:
        await self.move(contact=False)
        assert not sensors.alarms()
        told: list[Readings] = []
        sensors.subscribe(told.append)
        await self.break_link()
        assert sensors.latest().get(Sensor.CONTACT) is None
        assert sensors.latest().passages[Direction.IN] is None
        assert told[-1].get(Sensor.CONTACT) is None
        assert "inputs_unreadable" in sensors.alarms()


class TestFakeSensors(SensorsContract):
    fake: FakeSensors

    @pytest.fixture
    def sensors(self) -> Sensors:
        self.fake = FakeSensors()
        self.fake.say(
            Readings(
                at_ns=time.monotonic_ns(),
                seq=1,
                on={Sensor.CONTACT: False},
                edges={Sensor.CONTACT: 0},
                passages={Direction.IN: 0},
            )
        )
        return self.fake

    async def move(self, *, contact: bool | None = None, passed: bool = False) -> None:
        last = self.fake.latest()
        now = last.get(Sensor.CONTACT) if contact is None else contact
        rose = bool(now) and not last.get(Sensor.CONTACT)
        self.fake.say(
            replace(
                last,
                seq=last.seq + 1,
                at_ns=time.monotonic_ns(),
                on={Sensor.CONTACT: now},
                edges={Sensor.CONTACT: last.edges[Sensor.CONTACT] + rose},
                passages={Direction.IN: (last.passages[Direction.IN] or 0) + passed},
            )
        )

    async def break_link(self) -> None:
        self.fake.troubles = frozenset({"inputs_unreadable"})
        last = self.fake.latest()
        self.fake.say(
            replace(last, seq=last.seq + 1, on={Sensor.CONTACT: None}, passages={Direction.IN: None})
        )


class TestDoorSensors(SensorsContract):
    rig: Rig

    @pytest.fixture
    async def sensors(self) -> AsyncIterator[Sensors]:
        async with rig(board=DoorController(), known=_switched(), inputs=(1, 2)) as self.rig:
            wiring = SensorMap(
                sensors={Sensor.CONTACT: InputRef(self.rig.unit, 1, "low")},
                passages={Direction.IN: InputRef(self.rig.unit, 2)},
            )
            made = DoorSensors(DoorId("door-1"), wiring, clock=self.rig.bus.clock, lines={})
            self.made = made
            await made.start()
            self.rig.board.map.inputs[0] = True
            await until(lambda: made.latest().get(Sensor.CONTACT) is False)
            yield made
            await made.aclose()

    async def move(self, *, contact: bool | None = None, passed: bool = False) -> None:
        inputs = self.rig.board.map.inputs
        if contact is not None:
            inputs[0] = not contact
        if passed:
            inputs[1] = True
            await self._two_looks()
            inputs[1] = False
        await self._two_looks()

    async def _two_looks(self) -> None:
        seq = self.made.latest().seq
        await until(lambda: self.made.latest().seq >= seq + 2)

    async def break_link(self) -> None:
        await self.rig.board.refuse()
        await until(lambda: "inputs_unreadable" in self.made.alarms())


def _switched():
    from tests.fakes.held_board import counting_profile

    return counting_profile()
