"""The master keys of a running gateway: right for its database, and followed while they are changed."""

import asyncio
from dataclasses import dataclass, field

import structlog

from gateway.domain.errors import ConfigError, GatewayError, SealBroken
from gateway.domain.keys import UNNAMED, KeyId, KeyState
from gateway.ports import Clock
from gateway.ports.keys import MasterKeys, MasterKeyStore, Wrapping

_log = structlog.get_logger(__name__)

LOOK_S = 2.0
_FULL_LOOK_S = 60.0


async def admit(store: MasterKeyStore, keys: MasterKeys, wrapping: Wrapping) -> None:
    """Check that these keys open what the database holds; a database that knows no key learns this one.

    Raises ConfigError (code "master_key_wrong") naming what is missing, DatabaseUnavailable.
    """
    await asyncio.to_thread(keys.reload)
    await _check_nameless(store, keys, wrapping)
    # Before it is named and after: a wrong key must not become the database's own, nor one that came first.
    await _check_named(store, keys)
    await store.register_first(keys.current())
    await _check_named(store, keys)
    await follow(store, keys)


async def missing(store: MasterKeyStore, keys: MasterKeys) -> list[str]:
    """What cannot be opened for want of a key, in words. Raises DatabaseUnavailable."""
    states, usage = await store.states(), await store.usage()
    held = keys.held()
    lacking = [
        f"{use.people} people and {use.site} keys of the site are under the key {key_id}, which is not here"
        for key_id, use in usage.items()
        if key_id not in held and key_id != UNNAMED
    ]
    lacking += [
        f"the key {key_id} is its current one, and is not here"
        for key_id, state in states.items()
        if state is KeyState.CURRENT and key_id not in held and key_id not in usage
    ]
    return lacking


async def follow(store: MasterKeyStore, keys: MasterKeys) -> None:
    """Wrap by the key that the database says is current. Raises DatabaseUnavailable."""
    for key_id, state in (await store.states()).items():
        if state is KeyState.CURRENT:
            keys.prefer(key_id)


async def _check_named(store: MasterKeyStore, keys: MasterKeys) -> None:
    if lacking := await missing(store, keys):
        raise _wrong(keys, "; ".join(lacking))


async def _check_nameless(store: MasterKeyStore, keys: MasterKeys, wrapping: Wrapping) -> None:
    sample = await store.sample(UNNAMED)
    if sample is None:
        return
    try:
        wrapping.check(sample)
    except SealBroken:
        raise _wrong(keys, "it does not open the keys of the people in it") from None


def _wrong(keys: MasterKeys, why: str) -> ConfigError:
    return ConfigError(
        f"{keys.where()}: the master key is not the one of this database: {why}. "
        "Put back the key file of a gateway that opens its doors, or the one from your backup",
        code="master_key_wrong",
    )


@dataclass(slots=True)
class KeyWatch:
    """Notices changed keys, tells the database which ones are here, and says when one is missing."""

    store: MasterKeyStore
    keys: MasterKeys
    wrapping: Wrapping
    gateway_id: str
    clock: Clock
    checked: bool = False
    """Whether ``admit`` has been passed; a gateway that starts without its database does it later."""
    fault: str = ""
    """What is wrong with the keys, for people."""
    _said: frozenset[KeyId] = frozenset()
    _full_ns: int = field(default=0)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except ConfigError as error:
                self._told(str(error))
                self._said = frozenset()  # once it is mended, all is looked at again
            except GatewayError as error:
                _log.debug("master_keys_not_checked", why=str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. Raises ConfigError, DatabaseUnavailable."""
        if not self.checked:
            await admit(self.store, self.keys, self.wrapping)
            self.checked = True
        await asyncio.to_thread(self.keys.reload)
        await follow(self.store, self.keys)
        now = self.clock.monotonic_ns()
        if self._said != self.keys.held() or now - self._full_ns > _FULL_LOOK_S * 1e9:
            await self.store.hold(self.gateway_id, self.keys.held())
            self._said, self._full_ns = self.keys.held(), now
            self._told("; ".join(await missing(self.store, self.keys)))

    def health(self) -> str:
        """``right``, ``not checked yet`` (no database since the start), or what is wrong."""
        return self.fault or ("right" if self.checked else "not checked yet")

    def _told(self, fault: str) -> None:
        if fault and fault != self.fault:
            _log.error("MASTER_KEY_IS_WRONG", why=fault)
        if self.fault and not fault:
            _log.info("master_key_is_right_again")
        self.fault = fault
