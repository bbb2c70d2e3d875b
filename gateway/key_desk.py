"""What the commands about master keys do: change them, count what is under each, try them all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from gateway import foundation
from gateway.commands import Commanding, commanding
from gateway.domain.keys import KeyHolder, KeyId, KeyState, KeyUse, WrappedKey
from gateway.ports.keys import KeyWitness
from gateway.security.keyring import KeyRing
from gateway.security.wrapping import KeyWrapping
from gateway.services.key_rotation import RUNS, SETTLE_S, Progress, Rotated, Rotation, closed
from gateway.services.keys import missing
from gateway.settings import Site
from gateway.telemetry.clock import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One master key as ``keys status`` shows it."""

    key_id: KeyId
    state: KeyState | None
    use: KeyUse
    here: bool
    """In this machine's key file."""
    holders: tuple[str, ...]
    """Gateways that have it; one not seen for a day with the day it was seen last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """All that is known of the master keys of a site."""

    file: str
    rows: Sequence[KeyRow]
    lacking: Sequence[str]
    """What cannot be opened here for want of a key, in words."""

    @property
    def under_way(self) -> bool:
        """A change of keys was begun and is not finished."""
        return any(row.state in {KeyState.NEXT, KeyState.OLD} for row in self.rows)


@contextlib.asynccontextmanager
async def _opened(site: Site) -> AsyncIterator[tuple[foundation.Stores, KeyRing]]:
    """Database and keys as they are, right for each other or not."""
    await asyncio.to_thread(foundation.state_folder, site)
    stores = foundation.stores(site)
    try:
        await stores.prepare()
        yield stores, await asyncio.to_thread(KeyRing.read, foundation.key_place(site))
    finally:
        await stores.close()


async def status(site: Site) -> KeyStatus:
    """Raises ConfigError, DatabaseUnavailable."""
    async with _opened(site) as (stores, ring):
        store = stores.master_keys
        states, usage, holders = await store.states(), await store.usage(), await store.holders()
        rows = [
            KeyRow(
                key_id=key_id,
                state=states.get(key_id),
                use=usage.get(key_id, KeyUse()),
                here=key_id in ring.held(),
                holders=tuple(_called(h) for h in holders if key_id in h.key_ids),
            )
            for key_id in dict.fromkeys([*states, *usage, *sorted(ring.held())])
        ]
        return KeyStatus(file=ring.where(), rows=rows, lacking=await missing(store, ring))


async def check(site: Site) -> tuple[int, list[tuple[WrappedKey, str]]]:
    """Try every key: how many there are, and those that do not open. Raises as ``status``."""
    async with _opened(site) as (stores, ring):
        return await closed(stores.master_keys, KeyWrapping(ring))


async def rotate(
    site: Site,
    *,
    wait_s: float,
    skip: frozenset[str],
    give_up: bool,
    say: Callable[[Progress], None],
    settle_s: float = SETTLE_S,
) -> Rotated:
    """Change the master key, or finish a change that was interrupted. Raises as ``Rotation.run``."""
    async with commanding(site) as ground:
        ring = await asyncio.to_thread(KeyRing.read, foundation.key_place(site))
        rotation = Rotation(
            store=ground.stores.master_keys,
            file=ring,
            wrapping=KeyWrapping(ring),
            clock=SystemClock(),
            witness=lambda step, key_id: _witness(ground, step, key_id),
            wait_s=wait_s,
            settle_s=settle_s,
            skip=skip,
            give_up=give_up,
            say=say,
        )
        return await rotation.run()


def _called(holder: KeyHolder) -> str:
    lately = holder.seen_at > SystemClock().now() - RUNS
    return holder.gateway_id if lately else f"{holder.gateway_id} (last seen {holder.seen_at:%Y-%m-%d})"


def _witness(ground: Commanding, step: str, key_id: KeyId) -> KeyWitness:
    async def told() -> None:
        await ground.record.acted(ground.actor, f"keys.{step}", target=key_id)

    return told
