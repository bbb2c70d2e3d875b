"""The leaf: when it was opened and shut, and which grants that answers."""

from dataclasses import replace

from gateway.domain.door_state import DoorConfig, DoorState, Effect, Notice, Release, Relock, RelockNow
from gateway.domain.events import EventKind, Json
from gateway.domain.ids import GrantId
from gateway.domain.readings import Sensor


def look(config: DoorConfig, state: DoorState, before_ns: int | None, now_ns: int) -> DoorState:
    """The contact was read. A change counts once it has stood still; it began after the look before."""
    says_open = state.on.get(Sensor.CONTACT)
    if says_open is None:
        return replace(state, open=None, changing_ns=None)
    if state.open is None:
        return _seen_again(config, state, now_ns, says_open=says_open)
    if says_open == state.open:
        return replace(state, changing_ns=None)
    if state.changing_ns is not None:
        return state
    return replace(state, changing_ns=now_ns, earliest_ns=before_ns or now_ns)


def _seen_again(config: DoorConfig, state: DoorState, now_ns: int, *, says_open: bool) -> DoorState:
    """The contact can be read again. Who opened it meanwhile is not known; that it is shut now is."""
    since_ns = state.known_ns or state.dark_since_ns or now_ns
    unexplained = says_open and _was_shut(state) and not _covered(config, state, since_ns)
    state = replace(
        state,
        open=says_open,
        changing_ns=None,
        legitimate=not unexplained,
        forced=state.forced or unexplained,
    )
    if not says_open:
        return replace(state, opened_ns=None, shut_ns=now_ns, forced=False, extended=False)
    brief = state.dark_since_ns is not None and now_ns - state.dark_since_ns < config.dark_ns
    return state if brief and state.opened_ns is not None else replace(state, opened_ns=now_ns)


def _was_shut(state: DoorState) -> bool:
    """When the contact could last be read."""
    return state.shut_ns > 0 and state.opened_ns is None


def _covered(config: DoorConfig, state: DoorState, since_ns: int) -> bool:
    """Somebody may have been let through, or out, at some time since."""
    until = (state.released_until_ns + config.slack_ns, state.covered_until_ns, state.rex_until_ns)
    return bool(state.releases) or state.fire or state.hold is not None or max(until) >= since_ns


def unreadable(state: DoorState) -> DoorState:
    """Nothing is known of the sensors any more."""
    return replace(
        state,
        known_ns=state.seen_ns or state.known_ns,
        seen_ns=None,
        on=dict.fromkeys(state.on),
        output_on=None,
        open=None,
        changing_ns=None,
    )


def settled(
    config: DoorConfig, state: DoorState, grant_id: GrantId, *, moved: bool, now_ns: int
) -> DoorState:
    """A grant's frame left and may have moved the lock, or did not."""
    if not moved:
        return replace(state, releases=tuple(r for r in state.releases if r.grant_id != grant_id))
    until_ns = {r.grant_id: now_ns + r.pulse_ns + config.slack_ns for r in state.releases}
    releases = tuple(
        replace(r, until_ns=until_ns[r.grant_id], sure=True) if r.grant_id == grant_id else r
        for r in state.releases
    )
    return replace(state, releases=releases)


def settle(config: DoorConfig, state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    """What time and the contact have decided by now. Only a further look tells that it has stood still."""
    if state.open is None:
        state = replace(state, releases=tuple(replace(r, blind=True) for r in state.releases))
    changing, seen = state.changing_ns, state.seen_ns
    if changing is not None and seen is not None and seen - changing >= config.debounce_ns:
        state = replace(state, changing_ns=None)
        state = _shut(config, state, now_ns, effects) if state.open else _opened(config, state, effects)
    return _verdicts(state, now_ns, effects)


def _opened(config: DoorConfig, state: DoorState, effects: list[Effect]) -> DoorState:
    began = state.earliest_ns
    live = [r for r in state.releases if r.until_ns >= began]
    shunted = state.fire or state.hold is not None or max(state.rex_until_ns, state.covered_until_ns) >= began
    relock = config.relock is Relock.OPEN and all(r.sure for r in state.releases)
    if relock and _may_relock(config, state, began):
        effects.append(RelockNow())
    still = 0 if config.relock is Relock.OPEN else max((r.until_ns for r in live), default=0)
    taken = tuple(replace(r, opened=True) if r in live else r for r in state.releases)
    return replace(
        state,
        open=True,
        opened_ns=began,
        legitimate=bool(live) or shunted,
        forced=not live and not shunted,
        extended=any(r.extended for r in live),
        releases=taken,
        covered_until_ns=max(state.covered_until_ns, still),
    )


def _shut(config: DoorConfig, state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    early = config.relock is Relock.CLOSE and state.released_until_ns > now_ns
    waiting = any(not r.opened and r.until_ns > now_ns for r in state.releases)
    if early and not waiting and _may_relock(config, state, now_ns):
        effects.append(RelockNow())
        state = replace(state, covered_until_ns=0)
    return replace(
        state, open=False, opened_ns=None, shut_ns=now_ns, forced=False, legitimate=True, extended=False
    )


def _may_relock(config: DoorConfig, state: DoorState, now_ns: int) -> bool:
    """Nobody else is just being let in or out; else the lock waits for the end of the pulse."""
    leaving = config.rex_unlocks and state.rex_until_ns >= now_ns
    return not (state.fire or state.hold is not None or leaving)


def _verdicts(state: DoorState, now_ns: int, effects: list[Effect]) -> DoorState:
    """One passage verdict a grant, as soon as it is certain."""
    left = []
    for release in state.releases:
        verdict = _verdict(state, release, now_ns)
        if verdict is None:
            left.append(release)
            continue
        taken, how = verdict
        kind = EventKind.ACCESS_TAKEN if taken else EventKind.ACCESS_NOT_TAKEN
        data: dict[str, Json] = {"passage": how}
        if taken and sum(r.opened for r in state.releases) > 1:
            data["shared"] = True
        effects.append(Notice(kind=kind, grant_id=release.grant_id, data=data))
    return state if len(left) == len(state.releases) else replace(state, releases=tuple(left))


def _verdict(state: DoorState, release: Release, now_ns: int) -> tuple[bool, str] | None:
    if not release.sure:
        return None
    if release.opened:
        return True, "opened"
    if release.was_open and state.open:
        return True, "already_open"
    if now_ns <= release.until_ns or state.changing_ns is not None:
        return None
    if state.seen_ns is not None and state.seen_ns <= release.until_ns:
        return None  # the next look may find it open, since before the time was up
    return False, "unknown" if release.blind else "not_opened"
