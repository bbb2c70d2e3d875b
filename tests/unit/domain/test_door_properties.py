"""A door at random: whatever is read, granted, ordered and lost, and however long it takes.

Times are small multiples of one beat, so that a machine ticked on every beat and a nanosecond after it misses
nothing; one that is ticked only when it asks must say the same at the same times.
"""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.door_machine import due_ns
from gateway.domain.door_state import (
    Acknowledge,
    DoorConfig,
    Effect,
    EndHold,
    HoldOpen,
    LockDown,
    Lost,
    Notice,
    Relock,
    RelockNow,
    Stimulus,
    Tick,
)
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from gateway.domain.readings import Sensor
from tests.fakes.door_story import FITTED, MS, PASSAGES, DoorStory

BEAT_NS = 20 * MS
SMALL = {
    "pulse_ns": 15 * BEAT_NS,
    "extended_pulse_ns": 30 * BEAT_NS,
    "held_warning_ns": 40 * BEAT_NS,
    "held_alarm_ns": 60 * BEAT_NS,
    "extended_held_ns": 20 * BEAT_NS,
    "debounce_ns": 3 * BEAT_NS,
    "rex_shunt_ns": 25 * BEAT_NS,
    "slack_ns": 5 * BEAT_NS,
    "stale_ns": 15 * BEAT_NS,
    "dark_ns": 10 * BEAT_NS,
    "stuck_ns": 20 * BEAT_NS,
}
FAR_BEATS = 200


@dataclass(frozen=True)
class Look:
    contact: bool | None
    rex: bool | None
    fire: bool | None
    bolt: bool | None
    output_on: bool | None
    press: bool


@dataclass(frozen=True)
class Grant:
    extended: bool


@dataclass(frozen=True)
class Answer:
    """What became of the oldest frame of which that is not known."""

    outcome: Outcome | None


@dataclass(frozen=True)
class Hold:
    beats: int


Deed = Look | Grant | Answer | Hold | Stimulus

_READ = st.sampled_from([False, False, False, True, True, None])
_SELDOM = st.sampled_from([False] * 12 + [True, None])
LOOKS = st.builds(Look, contact=_READ, rex=_SELDOM, fire=_SELDOM, bolt=_READ, output_on=_READ, press=_SELDOM)
DEEDS = st.one_of(
    LOOKS,
    LOOKS,
    LOOKS,
    st.builds(Grant, st.booleans()),
    st.builds(Answer, st.sampled_from([*Outcome, Outcome.CONFIRMED, Outcome.CONFIRMED, None])),
    st.builds(Hold, st.integers(0, 60)),
    st.sampled_from(
        [EndHold(), LockDown(on=True), LockDown(on=False), Acknowledge(), Acknowledge(), Lost(), Tick()]
    ),
)
BEATS = st.sampled_from([0, 1, 1, 2, 3, 5, 5, 10, 16, 45])
PLAYS = st.lists(st.tuples(BEATS, DEEDS), max_size=25)
CONFIGS = st.builds(
    dict,
    relock=st.sampled_from(Relock),
    rex_unlocks=st.booleans(),
    fitted=st.sampled_from([FITTED, FITTED | {Sensor.BOLT}, frozenset({Sensor.CONTACT}), frozenset()]),
)


@dataclass
class Play(DoorStory):
    """A story with a book of its own: who may open the door, and until when."""

    settings: dict[str, object]
    every_beat: bool = False
    open_grants: dict[str, int] = field(default_factory=dict)
    """The last moment of an opening that is this grant's."""
    answers: dict[str, bool] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    rex_until_ns: int = 0
    not_open_ns: int = 0

    def __post_init__(self) -> None:
        super().__init__(shut=False, **{**SMALL, **self.settings})
        self.do(Tick())  # a machine that was never told anything asks for nothing

    def perform(self, play: list[tuple[int, Deed]]) -> "Play":
        for beats, deed in play:
            self.pass_time(beats)
            self._perform(deed)
        return self

    def end(self) -> "Play":
        """Every frame is answered, and much time passes; the first half of it the door is looked at."""
        while self.waiting:
            self._perform(Answer(Outcome.CONFIRMED))
        for _ in range(FAR_BEATS // 10):
            self.look(contact=False)
            self.pass_time(5)
        self.pass_time(FAR_BEATS)
        return self

    def pass_time(self, beats: int) -> None:
        if not self.every_beat:
            self.wait(beats * BEAT_NS / 1e9)
            return
        for _ in range(beats):
            self.now_ns += 1
            self.do(Tick())
            self.now_ns += BEAT_NS - 1
            self.do(Tick())

    def do(self, stimulus: Stimulus) -> tuple[Effect, ...]:
        effects = super().do(stimulus)
        if self.state.fire:
            assert RelockNow() not in effects, "nothing relocks in a fire"
        due = due_ns(self.config, self.state)
        assert due is None or due > self.now_ns
        for effect in effects:
            if isinstance(effect, Notice):
                self._heard(effect)
        return effects

    def _heard(self, notice: Notice) -> None:
        if notice.data.get("alarm") == "forced" and notice.data["raised"] and not self._burnt:
            self._check_forced()
        if notice.kind in PASSAGES:
            self.open_grants.pop(notice.grant_id, None)

    @property
    def _burnt(self) -> bool:
        """A forced alarm that a fire had silenced comes back with its acknowledgement."""
        return any(n.data.get("alarm") == "fire" for n in self.notices(EventKind.DOOR_ALARM))

    def _check_forced(self) -> None:
        began_ns = self.not_open_ns
        assert all(until < began_ns for until in self.open_grants.values()), "a grant covers it"
        assert self.rex_until_ns < began_ns, "a request to exit covers it"
        assert self.state.hold is None, "it is held open"

    def _perform(self, deed: Deed) -> None:
        match deed:
            case Look():
                self._look(deed)
            case Grant(extended):
                self._grant(extended=extended)
            case Answer(outcome):
                self._answer(outcome)
            case Hold(beats):
                self.do(HoldOpen(order_id="order", until_ns=self.now_ns + beats * BEAT_NS))
            case _:
                self.do(deed)

    def _look(self, look: Look) -> None:
        said = {"contact": look.contact, "rex": look.rex, "fire": look.fire, "bolt": look.bolt}
        if look.contact is not True:
            self.not_open_ns = self.now_ns
        self.presses += look.press is True
        if look.press or (look.rex and Sensor.REX in self.config.fitted):
            self.rex_until_ns = self.now_ns + self.config.rex_shunt_ns
        fitted = {name: says for name, says in said.items() if Sensor(name) in self.config.fitted}
        self.look(output_on=look.output_on, **fitted)

    def _grant(self, *, extended: bool) -> None:
        grant = f"g{len(self.answers) + len(self.waiting)}"
        self.waiting.append(grant)
        self._until(grant, extended=extended)
        self.release(grant, extended=extended)

    def _until(self, grant: str, *, extended: bool) -> None:
        pulse_ns = self.config.extended_pulse_ns if extended else self.config.pulse_ns
        self.open_grants[grant] = self.now_ns + pulse_ns + self.config.slack_ns

    def _answer(self, outcome: Outcome | None) -> None:
        if not self.waiting:
            return
        grant = self.waiting.pop(0)
        moved = outcome in {Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS}
        self.answers[grant] = moved
        if not moved:
            self.open_grants.pop(grant, None)
        self.settle(grant, outcome)


@given(PLAYS, CONFIGS)
@settings(max_examples=400, deadline=None)
def test_every_grant_whose_frame_left_has_one_verdict_and_no_other_has_any(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    """On the way: nothing raises, relocks in a fire, is forced under cover, or is due in the past."""
    door = Play(settings).perform(play)
    said = Counter(n.grant_id for n in door.notices(*PASSAGES))
    assert all(count == 1 for count in said.values())
    door.end()
    said = Counter(n.grant_id for n in door.notices(*PASSAGES))
    assert said == {grant: 1 for grant, moved in door.answers.items() if moved}


@given(PLAYS, CONFIGS)
@settings(max_examples=100, deadline=None)
def test_ticks_that_are_asked_for_are_enough(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    asked = Play(settings).perform(play)
    always = Play(settings, every_beat=True).perform(play)
    for door in (asked, always):
        door.pass_time(70)
    assert asked.told == always.told
    assert (asked.state.phase, asked.state.alarms) == (always.state.phase, always.state.alarms)


SHUT = Look(contact=False, rex=False, fire=False, bolt=False, output_on=False, press=False)
PRESSED_THEN_DARK = [(0, replace(SHUT, press=True)), (10, SHUT), (16, replace(SHUT, contact=True))]
"""The last look before the dark fell into the time after a request to exit."""


@given(PLAYS, CONFIGS)
@example(PRESSED_THEN_DARK, {"relock": Relock.TIME, "rex_unlocks": False, "fitted": FITTED})
@settings(max_examples=150, deadline=None)
def test_an_alarm_is_raised_and_cleared_in_turn(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    door = Play(settings).perform(play)
    standing: set[str] = set()
    for alarm, raised in door.alarms:
        assert (alarm in standing) is not raised
        standing ^= {alarm}
    assert standing == {a.value for a in door.state.alarms}


@given(PLAYS, CONFIGS)
@settings(max_examples=150, deadline=None)
def test_the_last_mode_on_record_is_the_doors_own(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    door = Play(settings).perform(play)
    state = door.state
    modes = [dict(n.data) for n in door.notices(EventKind.DOOR_MODE)]
    now = {
        "phase": state.phase.value,
        "assumed": state.assumed,
        "held_open": state.hold is not None,
        "locked_down": state.locked_down,
    }
    assert modes[-1:] in ([now], []), "told whenever it changes"
    assert all(one != other for one, other in itertools.pairwise(modes)), "and only then"


@given(st.lists(LOOKS, max_size=30), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_a_lockdown_lasts_and_gives_no_lease_but_to_the_way_out(looks: list[Look], beats: int) -> None:
    door = Play({"rex_unlocks": True})
    door.do(LockDown(on=True))
    door.perform([(beats, deed) for look in looks for deed in (look, Hold(20))])
    assert door.state.locked_down
    assert set(door.leases) <= {"rex"}


@pytest.mark.parametrize("cover", ["grant", "rex", "hold"])
@given(st.lists(st.booleans(), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_under_cover_no_movement_of_the_leaf_is_forced(cover: str, leaf: list[bool]) -> None:
    covers: dict[str, Callable[[DoorStory], object]] = {
        "grant": lambda door: door.release(),
        "rex": lambda door: door.look(rex=True),
        "hold": lambda door: door.do(HoldOpen(order_id="o", until_ns=door.now_ns + 10**12)),
    }
    door = DoorStory()
    covers[cover](door)
    for contact in leaf:
        door.watch(0.3, contact=contact)
    assert ("forced", True) not in door.alarms


def test_the_small_times_are_those_of_a_door() -> None:
    made = Play({}).config
    assert isinstance(made, DoorConfig)
    assert all(getattr(made, name) % BEAT_NS == 0 for name in SMALL)
