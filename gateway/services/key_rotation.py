"""Changing the master key while doors work: every step can be the last one before a power cut."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.errors import InvariantBroken, Rejected, SealBroken, Unavailable
from gateway.domain.keys import KeyHolder, KeyId, KeyState, WrappedKey
from gateway.ports import Clock
from gateway.ports.keys import KeyFile, KeyWitness, MasterKeyStore, Wrapping

BATCH = 200
_PAGE = 500
_LOOK_S = 0.5
SETTLE_S = 3.0
"""More than gateways take to look at the database again (``keys.LOOK_S``)."""
RUNS = timedelta(days=1)
"""A gateway seen within it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a rotation is."""

    step: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How a rotation ended."""

    key_id: KeyId
    """The master key from now on."""
    done: int
    """Keys wrapped anew by this run."""
    fresh: bool
    """Made by this run; else it finished what another had begun."""


@dataclass(slots=True, kw_only=True)
class Rotation:
    """Makes a new master key and wraps everything by it. Run again after an interruption, it goes on."""

    store: MasterKeyStore
    file: KeyFile
    wrapping: Wrapping
    clock: Clock
    witness: Callable[[str, KeyId], KeyWitness]
    """Makes the witness of a step (``begun``, ``current``, ``finished``, ``destroyed``, ``given_up``)."""
    wait_s: float = 60.0
    """For gateways that do not have the new key yet."""
    settle_s: float = SETTLE_S
    """For gateways to take up the new key, and later to finish what they read under the old one."""
    skip: frozenset[str] = frozenset()
    """Gateways that are not waited for."""
    give_up: bool = False
    """An unfinished change's next key is lost: make another. Nothing is wrapped by a next key."""
    say: Callable[[Progress], None] = field(default=lambda _progress: None)

    async def run(self) -> Rotated:
        """To the end.

        Raises Unavailable (code "gateways_lack_the_key", "database_unavailable"), ConfigError, Rejected,
        InvariantBroken (code "key_does_not_open"): a key that no master key here opens.
        """
        new, fresh = await self._begun()
        self.file.prefer(new)
        await self._settled("gateways take up the new key")
        done = 0
        while True:
            done += await self._rewrap_all(new)
            await self.store.retire(self.witness("finished", new))
            if not await self._old():
                break  # else a gateway that is behind has wrapped something by the old key
        if self.file.held() - {new, self.file.pending()}:
            await self._settled("the old key is destroyed in a moment")
            await self.witness("destroyed", new)()
            await asyncio.to_thread(self.file.keep_only, new)
        return Rotated(key_id=new, done=done, fresh=fresh)

    async def _begun(self) -> tuple[KeyId, bool]:
        """The new key, current everywhere: an unfinished change's, or (True) a fresh one."""
        states = await self.store.states()
        current = next((k for k, state in states.items() if state is KeyState.CURRENT), None)
        if current is not None and (
            KeyState.OLD in states.values() or await asyncio.to_thread(self._left_over, current, states)
        ):
            await asyncio.to_thread(self.file.promote, current)
            return current, False
        new = await self._next(states)
        await self.store.register_next(new, self.witness("begun", new))
        await self._handed_out(new)
        await asyncio.to_thread(self._still_held, new)
        await self.store.promote(new, self.witness("current", new))
        await asyncio.to_thread(self.file.promote, new)
        return new, new not in states

    def _left_over(self, current: KeyId, states: Mapping[KeyId, KeyState]) -> bool:
        """All is done but the old key's end in this file."""
        self.file.reload()
        held, pending = self.file.held(), self.file.pending()
        spent = {k for k, state in states.items() if state is KeyState.RETIRED} - {pending}
        return current in held and (bool(held & spent) or pending == current)

    async def _next(self, states: Mapping[KeyId, KeyState]) -> KeyId:
        begun = next((k for k, state in states.items() if state is KeyState.NEXT), None)
        if begun is not None and begun in self.file.held():
            return begun
        if begun is not None and not self.give_up:
            raise Rejected(
                f"a change to the key {begun} was begun, and {self.file.where()} does not hold that key; run "
                "this where it was begun, or copy the key file from there. If no machine has that key any "
                "more, --give-up makes another: nothing is wrapped by it yet",
                code="rotation_under_way",
            )
        spent = {k for k, state in states.items() if state is KeyState.RETIRED}
        if begun is not None:
            await self.store.give_up(begun, self.witness("given_up", begun))
            spent.add(begun)
        return await asyncio.to_thread(self.file.add_next, frozenset(spent))

    def _still_held(self, new: KeyId) -> None:
        """A key that only this process knows must not become the one that counts."""
        self.file.reload()
        if new not in self.file.held():
            raise Rejected(
                f"{self.file.where()} was changed meanwhile and does not hold the new key {new}; put "
                "that file back, or run this again with --give-up",
                code="key_file_changed",
            )

    async def _settled(self, step: str) -> None:
        if self.settle_s > 0 and await self._running():
            self.say(Progress(step=step))
            await asyncio.sleep(self.settle_s)

    async def _handed_out(self, new: KeyId) -> None:
        """Wait until every gateway that runs has the key: what it wraps must open everywhere."""
        until = time.monotonic() + self.wait_s
        while lacking := await self._lacking(new):
            self.say(Progress(step=f"waiting for {', '.join(lacking)} to have the key {new}"))
            if time.monotonic() >= until:
                raise Unavailable(
                    f"{', '.join(lacking)} does not have the new master key {new} yet. Copy the key file "
                    "there (a gateway that has it as a systemd credential must be restarted), then run this "
                    "again; until then all stays as it is",
                    code="gateways_lack_the_key",
                )
            await asyncio.sleep(_LOOK_S)

    async def _lacking(self, new: KeyId) -> Sequence[str]:
        return [holder.gateway_id for holder in await self._running() if new not in holder.key_ids]

    async def _running(self) -> Sequence[KeyHolder]:
        since: datetime = self.clock.now() - RUNS
        holders = await self.store.holders()
        return [h for h in holders if h.seen_at > since and h.gateway_id not in self.skip]

    async def _rewrap_all(self, new: KeyId) -> int:
        usage = await self.store.usage()
        total = sum(use.total for key_id, use in usage.items() if key_id != new)
        done = 0
        while count := await self.store.rewrap(new, BATCH, self._rewrap):
            done += count
            self.say(Progress(step="wrapping keys anew", done=done, total=max(total, done)))
        return done

    def _rewrap(self, key: WrappedKey) -> bytes:
        try:
            return self.wrapping.rewrap(key)
        except SealBroken as error:
            raise InvariantBroken(
                f"the key of {key.kind} {key.name} does not open: {error}. Nothing is lost by stopping here; "
                "put back the key file that opens it, or erase that person, then run this again",
                code="key_does_not_open",
            ) from None

    async def _old(self) -> bool:
        return KeyState.OLD in (await self.store.states()).values()


async def closed(store: MasterKeyStore, wrapping: Wrapping) -> tuple[int, list[tuple[WrappedKey, str]]]:
    """Try every wrapped key there is: how many there are, and which do not open, with the reason."""
    count, broken = 0, []
    after: WrappedKey | None = None
    while page := await store.page(after, _PAGE):
        for key, why in await asyncio.to_thread(_broken, wrapping, page):
            broken.append((key, why))
        count, after = count + len(page), page[-1]
    return count, broken


def _broken(wrapping: Wrapping, page: Sequence[WrappedKey]) -> list[tuple[WrappedKey, str]]:
    found = []
    for key in page:
        try:
            wrapping.check(key)
        except SealBroken as error:
            found.append((key, str(error)))
    return found
