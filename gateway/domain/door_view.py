"""What a guard sees of a door: its phase and its alarms, and what has changed since the last look."""

from gateway.domain.door_state import DoorAlarm, DoorConfig, DoorState, Effect, Notice, Phase
from gateway.domain.events import EventKind
from gateway.domain.readings import Sensor


def alarms_of(config: DoorConfig, state: DoorState, now_ns: int) -> frozenset[DoorAlarm]:
    """What is wrong now. A fire silences what people running out cause."""
    found = set()
    if state.fire:
        found.add(DoorAlarm.FIRE)
    elif state.forced:
        found.add(DoorAlarm.FORCED)
    held = None if state.fire or state.hold is not None else _held(config, state, now_ns)
    if held is not None:
        found.add(held)
    if state.on.get(Sensor.TAMPER) is True:
        found.add(DoorAlarm.TAMPER)
    dark = state.dark_since_ns is not None and now_ns - state.dark_since_ns >= config.dark_ns
    if dark and Sensor.FIRE in config.fitted and state.on.get(Sensor.FIRE) is None:
        found.add(DoorAlarm.FIRE_UNKNOWN)
    if dark and Sensor.CONTACT in config.fitted and state.open is None:
        found.add(DoorAlarm.CONTACT_UNKNOWN)
    if _stuck(config, state, now_ns):
        found.add(DoorAlarm.STUCK)
    return frozenset(found)


def phase_of(config: DoorConfig, state: DoorState, now_ns: int) -> tuple[Phase, bool]:
    """The phase, and whether it is only assumed because no contact can prove it."""
    contact = Sensor.CONTACT in config.fitted
    if state.fire:
        return Phase.FIRE, False
    if contact and state.open is not False:
        return _open_phase(config, state, now_ns) if state.open else Phase.UNKNOWN, False
    return _lock_phase(state, now_ns), not contact


def _lock_phase(state: DoorState, now_ns: int) -> Phase:
    """The leaf is shut, or nobody knows: what the lock does."""
    if DoorAlarm.STUCK in state.alarms:
        return Phase.FAULT
    if now_ns < state.released_until_ns or state.output_on:
        return Phase.RELEASED
    proven = state.output_on is False or state.on.get(Sensor.BOLT) is True
    return Phase.LOCKED if proven else Phase.UNKNOWN


def tell(before: DoorState, after: DoorState, effects: list[Effect]) -> None:
    """Notices of what has changed."""
    effects += [_alarm(a, raised=True) for a in sorted(after.alarms - before.alarms)]
    effects += [_alarm(a, raised=False) for a in sorted(before.alarms - after.alarms)]
    now, then = _mode(after), _mode(before)
    if now != then:
        effects.append(Notice(kind=EventKind.DOOR_MODE, data=now))


def _alarm(alarm: DoorAlarm, *, raised: bool) -> Notice:
    return Notice(kind=EventKind.DOOR_ALARM, data={"alarm": alarm.value, "raised": raised})


def _mode(state: DoorState) -> dict[str, str | bool]:
    return {
        "phase": state.phase.value,
        "assumed": state.assumed,
        "held_open": state.hold is not None,
        "locked_down": state.locked_down,
    }


def _open_phase(config: DoorConfig, state: DoorState, now_ns: int) -> Phase:
    if state.forced:
        return Phase.FORCED
    held = None if state.hold is not None else _held(config, state, now_ns)
    if held is DoorAlarm.HELD:
        return Phase.HELD_ALARM
    return Phase.HELD_WARNING if held is DoorAlarm.HELD_WARNING else Phase.OPEN


def _held(config: DoorConfig, state: DoorState, now_ns: int) -> DoorAlarm | None:
    if state.opened_ns is None or not state.open or state.forced:
        return None
    since = now_ns - state.opened_ns - (config.extended_held_ns if state.extended else 0)
    if since >= config.held_alarm_ns:
        return DoorAlarm.HELD
    return DoorAlarm.HELD_WARNING if since >= config.held_warning_ns else None


def _stuck(config: DoorConfig, state: DoorState, now_ns: int) -> bool:
    """Nobody is to come in, the leaf is shut, and the lock says otherwise."""
    if state.fire or state.hold is not None or now_ns <= state.released_until_ns + config.stuck_ns:
        return False
    if state.output_on:
        return True
    thrown = now_ns <= state.shut_ns + config.stuck_ns or state.on.get(Sensor.BOLT) is not False
    return state.open is False and not thrown
