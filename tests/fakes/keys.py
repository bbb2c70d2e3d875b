"""Master keys by name in memory: the store's rules without a database."""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.domain.errors import ConfigError, DatabaseUnavailable, Rejected
from gateway.domain.keys import UNNAMED, KeyHolder, KeyId, KeyState, KeyUse, WrappedKey
from gateway.ports.keys import KeyWitness
from gateway.security.key_text import Contents
from gateway.security.master_key import MasterKey
from gateway.security.wrapping import master_of


async def no_witness() -> None:
    return


@dataclass
class FakeKeyStore:
    known: dict[KeyId, KeyState] = field(default_factory=dict)
    boxes: dict[tuple[str, str], bytes] = field(default_factory=dict)
    running: dict[str, KeyHolder] = field(default_factory=dict)

    async def states(self) -> Mapping[KeyId, KeyState]:
        return dict(self.known)

    async def usage(self) -> Mapping[KeyId, KeyUse]:
        found: dict[KeyId, KeyUse] = {}
        for (kind, _), box in self.boxes.items():
            was = found.get(master_of(box), KeyUse())
            found[master_of(box)] = KeyUse(
                people=was.people + (kind == "person"), site=was.site + (kind == "site")
            )
        return found

    async def sample(self, key_id: KeyId) -> WrappedKey | None:
        return next((k for k in self._all() if master_of(k.wrapped) == key_id), None)

    async def page(self, after: WrappedKey | None, limit: int) -> Sequence[WrappedKey]:
        found = [k for k in self._all() if after is None or (k.kind, k.name) > (after.kind, after.name)]
        return found[:limit]

    async def register_first(self, key_id: KeyId) -> None:
        if not self.known:
            self.known[key_id] = KeyState.CURRENT

    async def register_next(self, key_id: KeyId, witness: KeyWitness) -> None:
        if self.known.get(key_id) in {KeyState.NEXT, KeyState.CURRENT}:
            return
        if key_id in self.known or {KeyState.NEXT, KeyState.OLD} & set(self.known.values()):
            raise Rejected("another", code="rotation_under_way")
        await witness()
        self.known[key_id] = KeyState.NEXT

    async def promote(self, key_id: KeyId, witness: KeyWitness) -> None:
        if self.known.get(key_id) is KeyState.CURRENT:
            return
        if self.known.get(key_id) is not KeyState.NEXT:
            raise Rejected("not the next", code="no_such_key")
        await witness()
        self.known = {k: KeyState.OLD if s is KeyState.CURRENT else s for k, s in self.known.items()}
        self.known[key_id] = KeyState.CURRENT

    async def give_up(self, key_id: KeyId, witness: KeyWitness) -> None:
        if self.known.get(key_id) is KeyState.RETIRED:
            return
        if self.known.get(key_id) is not KeyState.NEXT:
            raise Rejected("not the next", code="no_such_key")
        if key_id in await self.usage():
            raise Rejected("in use", code="key_in_use")
        await witness()
        self.known[key_id] = KeyState.RETIRED

    async def rewrap(self, key_id: KeyId, limit: int, rewrap: Callable[[WrappedKey], bytes]) -> int:
        todo = [k for k in self._all() if master_of(k.wrapped) != key_id]
        todo = [k for k in todo if k.kind == todo[0].kind][:limit]
        new = {(k.kind, k.name): rewrap(k) for k in todo}
        self._write(new)
        return len(new)

    async def retire(self, witness: KeyWitness) -> Sequence[KeyId]:
        used = await self.usage()
        done = [k for k, s in self.known.items() if s is KeyState.OLD and k not in used]
        if not done or "" in used:
            return []
        await witness()
        self.known |= dict.fromkeys(done, KeyState.RETIRED)
        return done

    async def hold(self, gateway_id: str, key_ids: frozenset[KeyId]) -> None:
        self.running[gateway_id] = KeyHolder(
            gateway_id=gateway_id, key_ids=key_ids, seen_at=datetime.now(UTC)
        )

    async def holders(self) -> Sequence[KeyHolder]:
        return sorted(self.running.values(), key=lambda h: h.seen_at, reverse=True)

    def put(self, kind: str, name: str, wrapped: bytes) -> None:
        """What a person's creation or a site key's first use does."""
        self._write({(kind, name): wrapped})

    def _write(self, boxes: Mapping[tuple[str, str], bytes]) -> None:
        usable = {UNNAMED, *(k for k, s in self.known.items() if s is not KeyState.RETIRED)}
        if self.known and not {master_of(box) for box in boxes.values()} <= usable:
            raise DatabaseUnavailable("not in use", code="master_key_not_in_use")
        self.boxes.update(boxes)

    def _all(self) -> list[WrappedKey]:
        return [
            WrappedKey(kind=kind, name=name, wrapped=box) for (kind, name), box in sorted(self.boxes.items())
        ]


@dataclass
class KeyDisk:
    """What a key file holds, wherever it is read."""

    contents: Contents
    fault: ConfigError | None = None
    turn: Any = field(default_factory=threading.Lock)


@dataclass
class FakeKeyFile:
    """``ports.KeyFile`` in memory: a process's view of a ``KeyDisk``. It sees a change when it reloads."""

    disk: KeyDisk
    seen: Contents = field(init=False)
    preferred: KeyId | None = None

    def __post_init__(self) -> None:
        self.seen = self.disk.contents

    def where(self) -> str:
        return "the fake key file"

    def wrapping(self) -> MasterKey:
        return self.seen.find(self.preferred) or self.seen.current

    def find(self, key_id: KeyId) -> MasterKey | None:
        return self.seen.find(key_id) or self.disk.contents.find(key_id)

    def every(self) -> Sequence[MasterKey]:
        return self.seen.every()

    def current(self) -> KeyId:
        return self.wrapping().key_id

    def held(self) -> frozenset[KeyId]:
        return frozenset(key.key_id for key in self.seen.every())

    def prefer(self, key_id: KeyId) -> None:
        self.preferred = key_id

    def reload(self) -> None:
        if self.disk.fault is not None:
            raise self.disk.fault
        self.seen = self.disk.contents

    def pending(self) -> KeyId | None:
        return self.seen.next.key_id if self.seen.next else None

    def add_next(self, spent: frozenset[KeyId]) -> KeyId:
        with self.disk.turn:
            self.reload()
            if self.pending() is None or self.pending() in spent:
                self._write(self.seen.with_next(MasterKey(secrets.token_bytes(32))))
            return self.pending() or KeyId("")

    def promote(self, key_id: KeyId) -> None:
        with self.disk.turn:
            self.reload()
            self._write(self.seen.promoted(self._own(key_id)))

    def keep_only(self, key_id: KeyId) -> None:
        with self.disk.turn:
            self.reload()
            self._write(self.seen.lone(self._own(key_id)))

    def _own(self, key_id: KeyId) -> MasterKey:
        if (key := self.seen.find(key_id)) is None:
            raise ConfigError(f"does not hold {key_id}", code="master_key_missing")
        return key

    def _write(self, contents: Contents) -> None:
        self.disk.contents = self.seen = contents
