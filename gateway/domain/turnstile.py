"""The turnstile as a state machine: one grant is one token, and one token is one person.

Makers' controllers wait about five seconds for the person (PERCo, TiSO: the waiting time is theirs, not the
pulse's); passages come as short pulses that are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gateway.domain.door_state import Acknowledge, Effect, Looked, Lost, Notice, Released, Settled, Tick
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from gateway.domain.readings import Direction, Readings, Sensor
from gateway.domain.turnstile_state import (
    Token,
    TurnstileAlarm,
    TurnstileConfig,
    TurnstilePhase,
    TurnstileState,
    TurnstileStep,
    TurnstileStimulus,
)

_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})


def advance(
    config: TurnstileConfig, state: TurnstileState, stimulus: TurnstileStimulus, now_ns: int
) -> TurnstileStep:
    """What the turnstile is after this, and what to do about it."""
    effects: list[Effect] = []
    after = _take(config, replace(state, told_ns=now_ns), stimulus, now_ns, effects)
    after = _expire(config, after, now_ns, effects)
    after = replace(after, dark_since_ns=_dark_since(config, after, now_ns))
    after = replace(after, alarms=_alarms(config, after, now_ns))
    after = replace(after, phase=_phase(after))
    effects += [_alarm(a, raised=True) for a in sorted(after.alarms - state.alarms)]
    effects += [_alarm(a, raised=False) for a in sorted(state.alarms - after.alarms)]
    if after.phase is not state.phase:
        effects.append(Notice(kind=EventKind.DOOR_MODE, data={"phase": after.phase.value}))
    return TurnstileStep(after, tuple(effects))


def due_ns(config: TurnstileConfig, state: TurnstileState) -> int | None:
    """When ``Tick`` is wanted next; None when only news can change anything."""
    times = [t.until_ns + 1 for t in state.tokens.values()]
    times += [until + 1 for until in state.shown.values()]
    if state.pulse_until_ns:
        times.append(state.pulse_until_ns + config.stuck_ns + 1)
    if state.dark_since_ns is not None:
        times.append(state.dark_since_ns + config.dark_ns)
    later = [t for t in times if t > state.told_ns]
    return min(later, default=None)


def taken(config: TurnstileConfig, state: TurnstileState, direction: Direction) -> bool:
    """A token waits for its person: another one now would let two people through on one."""
    if direction in state.tokens:
        return True
    return bool(state.tokens) and not config.both_ways


def usable(state: TurnstileState) -> bool:
    """Pulses do what they should. In a fire nobody is refused."""
    return state.fire or not (state.free or TurnstileAlarm.STUCK in state.alarms)


def _take(
    config: TurnstileConfig,
    state: TurnstileState,
    stimulus: TurnstileStimulus,
    now_ns: int,
    effects: list[Effect],
) -> TurnstileState:
    match stimulus:
        case Looked(readings):
            state = _look(config, state, readings, now_ns, effects)
        case Lost():
            unknown = dict.fromkeys(state.counts)
            state = replace(state, counts=unknown, on=dict.fromkeys(state.on), output_on=None)
        case Released(grant_id=grant_id, direction=direction):
            until_ns = now_ns + config.pulse_ns + config.wait_ns + config.grace_ns
            token = Token(grant_id=grant_id, until_ns=until_ns)
            pulse = max(state.pulse_until_ns, now_ns + config.pulse_ns)
            state = replace(state, tokens={**state.tokens, direction: token}, pulse_until_ns=pulse)
        case Settled(grant_id, actuation):
            moved = actuation is not None and actuation.outcome in _MOVED
            for way, token in state.tokens.items():
                if token.grant_id == grant_id:
                    state = _settled(config, state, way, token, now_ns, effects, moved=moved)
        case Acknowledge():
            free = state.free and state.on.get(Sensor.FREE) is True
            fire = state.fire and state.on.get(Sensor.FIRE) is not False
            state = replace(state, free=free, fire=fire, strays=())
        case Tick():
            pass
    return state


def _settled(
    config: TurnstileConfig,
    state: TurnstileState,
    way: Direction,
    token: Token,
    now_ns: int,
    effects: list[Effect],
    *,
    moved: bool,
) -> TurnstileState:
    """A token's frame may have released the turnstile, or did not. Somebody may be through already."""
    state = replace(state, tokens={**state.tokens, way: replace(token, sure=True, passed=False)})
    if not moved:
        state = replace(state, tokens={w: t for w, t in state.tokens.items() if w != way})
    return _pass(config, state, way, now_ns, effects) if token.passed else state


def _look(
    config: TurnstileConfig,
    state: TurnstileState,
    readings: Readings,
    now_ns: int,
    effects: list[Effect],
) -> TurnstileState:
    fire = state.fire or readings.get(Sensor.FIRE) is True
    free = readings.get(Sensor.FREE)
    state = replace(state, fire=fire, free=state.free or free is True)
    for way, count in _new_passages(state.counts, readings.passages):
        for _ in range(count):
            state = _pass(config, state, way, now_ns, effects)
    return replace(
        state,
        counts=dict(readings.passages),
        on=dict(readings.on),
        output_on=readings.output_on,
        free=bool(free) or (state.free and free is None),
    )


def _new_passages(
    before: Mapping[Direction, int | None], after: Mapping[Direction, int | None]
) -> Iterator[tuple[Direction, int]]:
    for way, count in after.items():
        known = before.get(way)
        if known is not None and count is not None and count > known:
            yield way, count - known


def _pass(
    config: TurnstileConfig, state: TurnstileState, way: Direction, now_ns: int, effects: list[Effect]
) -> TurnstileState:
    """One person went through."""
    token, free = state.tokens.get(way), state.fire or state.free
    if token is not None and not token.sure:
        if not token.passed:
            return replace(state, tokens={**state.tokens, way: replace(token, passed=True)})
        return state if free else _show(config, state, TurnstileAlarm.TAILGATE, now_ns)
    if token is not None:
        effects.append(_passage(token, taken=True, how="passed"))
        tokens = {w: t for w, t in state.tokens.items() if w != way}
        return replace(state, tokens=tokens, passed_ns={**state.passed_ns, way: now_ns}, strays=())
    return state if free else _stray(config, state, way, now_ns)


def _stray(config: TurnstileConfig, state: TurnstileState, way: Direction, now_ns: int) -> TurnstileState:
    """Somebody went through without a token."""
    if state.tokens:
        return _show(config, state, TurnstileAlarm.WRONG_WAY, now_ns)
    last_ns = state.passed_ns.get(way)
    if last_ns is not None and now_ns - last_ns <= config.tail_ns:
        return _show(config, state, TurnstileAlarm.TAILGATE, now_ns)
    strays = (*(t for t in state.strays if now_ns - t <= config.burst_ns), now_ns)
    state = replace(_show(config, state, TurnstileAlarm.FORCED, now_ns), strays=strays)
    return replace(state, free=True) if len(strays) >= config.burst else state


def _show(
    config: TurnstileConfig, state: TurnstileState, alarm: TurnstileAlarm, now_ns: int
) -> TurnstileState:
    return replace(state, shown={**state.shown, alarm: now_ns + config.shown_ns})


def _expire(
    config: TurnstileConfig, state: TurnstileState, now_ns: int, effects: list[Effect]
) -> TurnstileState:
    """Nobody came: the next person is not given this token."""
    left = {}
    for way, token in state.tokens.items():
        blind = token.blind or way not in config.counted or state.counts.get(way) is None
        if now_ns <= token.until_ns or not token.sure:
            left[way] = replace(token, blind=blind)
        else:
            effects.append(_passage(token, taken=False, how="unknown" if blind else "not_passed"))
    shown = {alarm: until for alarm, until in state.shown.items() if now_ns <= until}
    return replace(state, tokens=left, shown=shown)


def _alarms(config: TurnstileConfig, state: TurnstileState, now_ns: int) -> frozenset[TurnstileAlarm]:
    found = set(state.shown)
    dark = state.dark_since_ns is not None and now_ns - state.dark_since_ns >= config.dark_ns
    stuck = state.output_on is True and now_ns > state.pulse_until_ns + config.stuck_ns
    for alarm, raised in (
        (TurnstileAlarm.FREE, state.free and not state.fire),
        (TurnstileAlarm.STUCK, stuck and not state.fire),
        (TurnstileAlarm.TAMPER, state.on.get(Sensor.TAMPER) is True),
        (TurnstileAlarm.FIRE, state.fire),
        (TurnstileAlarm.FIRE_UNKNOWN, dark and _fire_unknown(config, state)),
        (TurnstileAlarm.PASSAGES_UNKNOWN, dark and _passages_unknown(config, state)),
    ):
        if raised:
            found.add(alarm)
    return frozenset(found)


def _fire_unknown(config: TurnstileConfig, state: TurnstileState) -> bool:
    return Sensor.FIRE in config.fitted and state.on.get(Sensor.FIRE) is None


def _passages_unknown(config: TurnstileConfig, state: TurnstileState) -> bool:
    return any(state.counts.get(way) is None for way in config.counted)


def _dark_since(config: TurnstileConfig, state: TurnstileState, now_ns: int) -> int | None:
    if not (_fire_unknown(config, state) or _passages_unknown(config, state)):
        return None
    return now_ns if state.dark_since_ns is None else state.dark_since_ns


def _phase(state: TurnstileState) -> TurnstilePhase:
    if state.fire:
        return TurnstilePhase.FIRE
    if TurnstileAlarm.STUCK in state.alarms:
        return TurnstilePhase.FAULT
    if state.free:
        return TurnstilePhase.FREE
    return TurnstilePhase.ARMED if state.tokens else TurnstilePhase.LOCKED


def _passage(token: Token, *, taken: bool, how: str) -> Notice:
    kind = EventKind.ACCESS_TAKEN if taken else EventKind.ACCESS_NOT_TAKEN
    return Notice(kind=kind, grant_id=token.grant_id, data={"passage": how})


def _alarm(alarm: TurnstileAlarm, *, raised: bool) -> Notice:
    return Notice(kind=EventKind.DOOR_ALARM, data={"alarm": alarm.value, "raised": raised})
