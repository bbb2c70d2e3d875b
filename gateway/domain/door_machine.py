"""The door as a state machine: pure, total, and told the time.

An opening that nobody was let through for is forced; one that lasts is held, with a warning first; a contact
counts when it has stood still. A fire ends all of that until it is over and somebody has acknowledged it.
"""

from dataclasses import replace

from gateway.domain import door_leaf
from gateway.domain.door_state import (
    Acknowledge,
    DoorConfig,
    DoorState,
    Effect,
    EndHold,
    Hold,
    HoldOpen,
    LockDown,
    Looked,
    Lost,
    Notice,
    Release,
    Released,
    RelockNow,
    Renew,
    Settled,
    Step,
    Stimulus,
    Tick,
)
from gateway.domain.door_view import alarms_of, phase_of, tell
from gateway.domain.doors import Outcome
from gateway.domain.events import EventKind
from gateway.domain.readings import Readings, Sensor

REX_ORDER = "rex"
_MOVED = frozenset({Outcome.CONFIRMED, Outcome.SENT, Outcome.AMBIGUOUS})


def advance(config: DoorConfig, state: DoorState, stimulus: Stimulus, now_ns: int) -> Step:
    """What the door is after this, and what to do about it."""
    effects: list[Effect] = []
    after = _take(config, state, stimulus, now_ns, effects)
    if after.seen_ns is not None and now_ns - after.seen_ns > config.stale_ns:
        after = door_leaf.unreadable(after)
    after = door_leaf.settle(config, after, now_ns, effects)
    after = replace(after, dark_since_ns=_dark_since(config, after, now_ns))
    after = _lease(config, after, now_ns, effects)
    after = replace(after, alarms=alarms_of(config, after, now_ns))
    phase, assumed = phase_of(config, after, now_ns)
    after = replace(after, phase=phase, assumed=assumed)
    tell(state, after, effects)
    return Step(after, tuple(effects))


def due_ns(config: DoorConfig, state: DoorState) -> int | None:
    """When ``Tick`` is wanted next; None when only news can change anything."""
    times = [r.until_ns + 1 for r in state.releases]
    if state.opened_ns is not None and not state.fire and state.hold is None:
        extra = config.extended_held_ns if state.extended else 0
        times += [state.opened_ns + t + extra for t in (config.held_warning_ns, config.held_alarm_ns)]
    if state.hold is not None:
        times += [state.hold.renew_ns, state.hold.until_ns]
    if state.released_until_ns:
        times += [state.released_until_ns, state.released_until_ns + config.stuck_ns + 1]
    if state.open is False and Sensor.BOLT in config.fitted:
        times.append(state.shut_ns + config.stuck_ns + 1)
    if state.dark_since_ns is not None:
        times.append(state.dark_since_ns + config.dark_ns)
    if state.seen_ns is not None:
        times.append(state.seen_ns + config.stale_ns + 1)
    later = [t for t in times if t > state.told_ns]
    return min(later, default=None)


def closed(state: DoorState) -> bool:
    """Nobody is let in: the door is locked down."""
    return state.locked_down and not state.fire


def _dark_since(config: DoorConfig, state: DoorState, now_ns: int) -> int | None:
    contact = Sensor.CONTACT in config.fitted and state.open is None
    fire = Sensor.FIRE in config.fitted and state.on.get(Sensor.FIRE) is None
    if not (contact or fire):
        return None
    return now_ns if state.dark_since_ns is None else state.dark_since_ns


def _take(
    config: DoorConfig, state: DoorState, stimulus: Stimulus, now_ns: int, effects: list[Effect]
) -> DoorState:
    state = replace(state, told_ns=now_ns)
    match stimulus:
        case Looked(readings):
            state = _look(config, state, readings, now_ns, effects)
        case Lost():
            state = door_leaf.unreadable(state)
        case Released():
            state = _released(config, state, stimulus, now_ns)
        case Settled(grant_id, actuation):
            moved = actuation is not None and actuation.outcome in _MOVED
            state = door_leaf.settled(config, state, grant_id, moved=moved, now_ns=now_ns)
        case HoldOpen(order_id=order, until_ns=until):
            hold = Hold(order_id=order, until_ns=until, renew_ns=now_ns)
            state = state if state.locked_down else replace(state, hold=hold)
        case EndHold():
            state = _end_hold(config, state, now_ns, effects)
        case LockDown(on):
            state = _lock_down(config, state, now_ns, effects) if on else replace(state, locked_down=False)
        case Acknowledge():
            state = replace(state, fire=state.fire and state.on.get(Sensor.FIRE) is not False)
        case Tick():
            pass
    return state


def _lock_down(config: DoorConfig, state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    state = replace(_end_hold(config, state, now_ns, effects), locked_down=True)
    if not state.fire:
        effects.append(RelockNow())
    return state


def _look(
    config: DoorConfig, state: DoorState, readings: Readings, now_ns: int, effects: list[Effect]
) -> DoorState:
    rex = readings.get(Sensor.REX) is True
    pressed = readings.edges.get(Sensor.REX, 0) > state.rex_edges or (rex and not state.rex_was)
    if readings.get(Sensor.REX) is not None:
        state = replace(state, rex_was=rex)
    if rex or pressed:
        state = replace(state, rex_until_ns=now_ns + config.rex_shunt_ns)
    if pressed:
        effects.append(Notice(kind=EventKind.DOOR_REQUEST))
        if config.rex_unlocks:
            effects.append(Renew(REX_ORDER))
            state = replace(state, released_until_ns=max(state.released_until_ns, now_ns + config.pulse_ns))
    state = replace(state, rex_edges=readings.edges.get(Sensor.REX, state.rex_edges))
    before_ns = state.seen_ns
    state = replace(state, seen_ns=now_ns, on=dict(readings.on), output_on=readings.output_on)
    if readings.get(Sensor.FIRE) is True:
        state = replace(state, fire=True)
    return door_leaf.look(config, state, before_ns, now_ns)


def _released(config: DoorConfig, state: DoorState, released: Released, now_ns: int) -> DoorState:
    pulse_ns = config.extended_pulse_ns if released.extended else config.pulse_ns
    until_ns = now_ns + pulse_ns + config.slack_ns
    mine = Release(
        grant_id=released.grant_id,
        until_ns=until_ns,
        pulse_ns=pulse_ns,
        extended=released.extended,
        was_open=state.open is True,
        blind=state.open is not False,
    )
    until = max(state.released_until_ns, now_ns + pulse_ns)
    return replace(state, releases=(*state.releases, mine), released_until_ns=until)


def _end_hold(config: DoorConfig, state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    """The lease runs out by itself; the time that the leaf may stay open starts now."""
    if state.hold is None:
        return state
    if not state.fire:
        effects.append(RelockNow())
    opened = None if state.opened_ns is None else now_ns
    covered = max(state.covered_until_ns, now_ns + config.slack_ns)
    return replace(state, hold=None, opened_ns=opened, covered_until_ns=covered)


def _lease(config: DoorConfig, state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    """A held door is released by one short lease after the other, each sent before the last one ends."""
    hold = state.hold
    if hold is None:
        return state
    dark = state.dark_since_ns is not None and now_ns - state.dark_since_ns >= config.dark_ns
    if now_ns >= hold.until_ns or state.seen_ns is None or dark:
        return _end_hold(config, state, now_ns, effects)
    if now_ns < hold.renew_ns or state.fire:
        return state
    effects.append(Renew(hold.order_id))
    until = max(state.released_until_ns, now_ns + config.pulse_ns)
    renewed = replace(hold, renew_ns=now_ns + config.pulse_ns * 2 // 3)
    return replace(state, hold=renewed, released_until_ns=until)
