"""Changing the master key while doors work: every step can be the last one before a power cut."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.errors import InvariantBroken, SealBroken, Unavailable
from gateway.domain.keys import KeyId, KeyState, WrappedKey
from gateway.ports import Clock
from gateway.ports.keys import KeyFile, KeyWitness, MasterKeyStore, Wrapping

BATCH = 200
_PAGE = 500
_LOOK_S = 0.5
RUNS = timedelta(days=1)
"""A gateway seen within it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a rotation is."""

    step: str
    done: int = 0
    total: int = 0


@dataclass(slots=True, kw_only=True)
class Rotation:
    """Makes a new master key and wraps everything by it. Run again after an interruption, it goes on."""

    store: MasterKeyStore
    file: KeyFile
    wrapping: Wrapping
    clock: Clock
    witness: Callable[[str, KeyId], KeyWitness]
    """Makes the witness of a step (``begun``, ``current``, ``finished``) with a key."""
    wait_s: float = 60.0
    """For gateways that do not have the new key yet."""
    skip: frozenset[str] = frozenset()
    """Gateways that are not waited for."""
    say: Callable[[Progress], None] = field(default=lambda _progress: None)

    async def run(self) -> tuple[KeyId, int]:
        """To the end; the new key, and how many keys were wrapped anew by this run.

        Raises Unavailable (code "gateways_lack_the_key", "database_unavailable"), ConfigError, Rejected,
        InvariantBroken (code "key_does_not_open"): a key that no master key here opens.
        """
        new = await self._begun()
        self.file.prefer(new)
        done = 0
        while True:
            done += await self._rewrap_all(new)
            await self.store.retire(self.witness("finished", new))
            if not await self._old():
                break  # else a gateway that is behind has wrapped something by the old key
        await asyncio.to_thread(self.file.keep_only, new)
        return new, done

    async def _begun(self) -> KeyId:
        """The new key, current everywhere: an unfinished change's, or a fresh one."""
        states = await self.store.states()
        current = next((k for k, state in states.items() if state is KeyState.CURRENT), None)
        if current is not None and KeyState.OLD in states.values():
            await asyncio.to_thread(self.file.promote, current)
            return current
        if current is not None and await asyncio.to_thread(self._left_over, current):
            return current
        new = await asyncio.to_thread(self.file.add_next)
        await self.store.register_next(new, self.witness("begun", new))
        await self._handed_out(new)
        await self.store.promote(new, self.witness("current", new))
        await asyncio.to_thread(self.file.promote, new)
        return new

    def _left_over(self, current: KeyId) -> bool:
        """All is done but the old key's end in the file; a next key alone was not even begun with."""
        self.file.reload()
        lasting = self.file.held() - {current, self.file.pending()}
        return bool(lasting) or self.file.pending() == current

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
        since: datetime = self.clock.now() - RUNS
        return [
            holder.gateway_id
            for holder in await self.store.holders()
            if holder.seen_at > since and new not in holder.key_ids and holder.gateway_id not in self.skip
        ]

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
