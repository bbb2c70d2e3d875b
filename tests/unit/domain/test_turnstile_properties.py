"""A turnstile at random: never more people taken than tokens or passages allow, one verdict a grant at most.

Times are small multiples of one beat; see ``test_door_properties``.
"""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.door_state import Acknowledge, Lost, Tick
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from gateway.domain.readings import Direction, Sensor
from gateway.domain.turnstile import due_ns, taken, usable
from gateway.domain.turnstile_state import TurnstileStimulus
from tests.fakes.door_story import MS, PASSAGES
from tests.fakes.gate_story import GateStory

BEAT_NS = 20 * MS
SMALL = {
    "pulse_ns": 5 * BEAT_NS,
    "wait_ns": 20 * BEAT_NS,
    "grace_ns": 5 * BEAT_NS,
    "tail_ns": 10 * BEAT_NS,
    "burst_ns": 15 * BEAT_NS,
    "stuck_ns": 8 * BEAT_NS,
    "dark_ns": 10 * BEAT_NS,
    "shown_ns": 40 * BEAT_NS,
}


@dataclass(frozen=True)
class Look:
    """People went through either way since the look before; None cannot be read, less is a new counter."""

    inwards: int | None
    outwards: int | None
    fire: bool | None
    free: bool | None
    output_on: bool | None


@dataclass(frozen=True)
class Grant:
    way: Direction


@dataclass(frozen=True)
class Answer:
    outcome: Outcome | None


Deed = Look | Grant | Answer | TurnstileStimulus

_PEOPLE = st.sampled_from([0, 0, 0, 0, 1, 1, 1, 2, 4, -1, -3, None])
_SELDOM = st.sampled_from([False] * 15 + [True, None])
LOOKS = st.builds(
    Look,
    inwards=_PEOPLE,
    outwards=_PEOPLE,
    fire=_SELDOM,
    free=_SELDOM,
    output_on=st.sampled_from([False, True]),
)
DEEDS = st.one_of(
    LOOKS,
    LOOKS,
    st.builds(Grant, st.sampled_from(Direction)),
    st.builds(Answer, st.sampled_from([*Outcome, Outcome.CONFIRMED, Outcome.CONFIRMED, None])),
    st.sampled_from([Acknowledge(), Lost(), Tick()]),
)
PLAYS = st.lists(st.tuples(st.sampled_from([0, 1, 1, 2, 5, 10, 31, 50]), DEEDS), max_size=30)
CONFIGS = st.builds(
    dict,
    both_ways=st.booleans(),
    counted=st.sampled_from([frozenset(Direction), frozenset({Direction.IN}), frozenset()]),
    fitted=st.sampled_from([frozenset(), frozenset({Sensor.FIRE, Sensor.FREE})]),
)


@dataclass
class Play(GateStory):
    """A story with a book of its own. Tokens are given out as a portal does: only where none is waiting."""

    settings: dict[str, object]
    every_beat: bool = False
    walked: Counter[Direction] = field(default_factory=Counter)
    """People whom two readable looks one after the other tell apart."""
    granted: dict[str, Direction] = field(default_factory=dict)
    answers: dict[str, bool] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    known: dict[Direction, int | None] = field(default_factory=dict)
    total: Counter[Direction] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(**{**SMALL, **self.settings})
        self.known = dict(self.counts)

    def perform(self, play: list[tuple[int, Deed]]) -> "Play":
        for beats, deed in play:
            self.pass_time(beats)
            self._perform(deed)
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

    def do(self, stimulus: TurnstileStimulus) -> None:
        super().do(stimulus)
        due = due_ns(self.config, self.state)
        assert due is None or due > self.now_ns
        assert self.config.both_ways or len(self.state.tokens) <= 1
        if isinstance(stimulus, Lost):
            self.known = dict.fromkeys(self.known)

    def _perform(self, deed: Deed) -> None:
        match deed:
            case Look():
                self._look(deed)
            case Grant(way):
                self._grant(way)
            case Answer(outcome):
                self.answer(outcome)
            case _:
                self.do(deed)

    def _look(self, look: Look) -> None:
        for way, people in ((Direction.IN, look.inwards), (Direction.OUT, look.outwards)):
            if way not in self.config.counted:
                continue
            self.total[way] = max(0, self.total[way] + (people or 0))
            says = None if people is None else self.total[way]
            before, self.known[way] = self.known[way], says
            if before is not None and says is not None:
                self.walked[way] += max(0, says - before)
            self.counts[way] = says
        said = {"fire": look.fire, "free": look.free}
        fitted = {name: on for name, on in said.items() if Sensor(name) in self.config.fitted}
        self.look(output_on=look.output_on, **fitted)

    def _grant(self, way: Direction) -> None:
        if taken(self.config, self.state, way) or not usable(self.state):
            return
        grant = f"g{len(self.granted)}"
        self.granted[grant] = way
        self.waiting.append(grant)
        self.release(grant, way)

    def answer(self, outcome: Outcome | None) -> None:
        if self.waiting:
            grant = self.waiting.pop(0)
            self.answers[grant] = outcome in {Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS}
            self.settle(grant, outcome)

    @property
    def verdicts(self) -> Counter[str | None]:
        return Counter(n.grant_id for n in self.told if n.kind in PASSAGES)

    def taken_by(self, way: Direction) -> int:
        return sum(
            n.kind is EventKind.ACCESS_TAKEN and self.granted[str(n.grant_id)] is way
            for n in self.told
            if n.kind in PASSAGES
        )


@given(PLAYS, CONFIGS)
@settings(max_examples=400, deadline=None)
def test_every_grant_whose_frame_left_has_one_verdict_and_no_other_has_any(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    gate = Play(settings).perform(play)
    assert all(count == 1 for count in gate.verdicts.values())
    while gate.waiting:
        gate.answer(Outcome.SENT)
    gate.pass_time(100)
    assert gate.verdicts == {grant: 1 for grant, moved in gate.answers.items() if moved}


@given(PLAYS, CONFIGS)
@settings(max_examples=300, deadline=None)
def test_nobody_is_taken_without_a_token_and_a_passage(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    """A counter that goes back, or was not readable at one of two looks, counts nobody."""
    gate = Play(settings).perform(play)
    for way in Direction:
        tokens = sum(given is way for given in gate.granted.values())
        assert gate.taken_by(way) <= min(tokens, gate.walked[way])


@given(PLAYS, CONFIGS)
@settings(max_examples=100, deadline=None)
def test_ticks_that_are_asked_for_are_enough(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    asked = Play(settings).perform(play)
    always = Play(settings, every_beat=True).perform(play)
    for gate in (asked, always):
        gate.pass_time(60)
    assert asked.told == always.told
    assert (asked.state.phase, asked.state.alarms) == (always.state.phase, always.state.alarms)


@given(PLAYS, CONFIGS)
@settings(max_examples=150, deadline=None)
def test_an_alarm_is_raised_and_cleared_in_turn(
    play: list[tuple[int, Deed]], settings: dict[str, object]
) -> None:
    gate = Play(settings).perform(play)
    standing: set[str] = set()
    for alarm, raised in gate.alarms:
        assert (alarm in standing) is not raised
        standing ^= {alarm}
    assert standing == {a.value for a in gate.state.alarms}
