"""What a command of the command line stands on: the stores, the sealer, and a record of its own.

The gateway owns its journal while it runs, so commands write to another, chained by itself under the id
``<gateway>-commands``, and hand it to the ledger before they end.
"""

import asyncio
import contextlib
import getpass
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway import foundation
from gateway.domain.accounts import Actor, Role
from gateway.domain.errors import GatewayError, Rejected
from gateway.domain.ids import GatewayId
from gateway.ground import Ground
from gateway.security.sealing import AesGcmSealer
from gateway.security.site_keys import WrappedSiteKeys
from gateway.services.forwarder import Forwarder
from gateway.services.witness import Record
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal
from gateway.telemetry.clock import SystemClock

_log = structlog.get_logger(__name__)

_PATIENCE_S = 30.0
_LOOK_S = 0.1
_FORWARD_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanding(Ground):
    """Everything a command may use, and who runs it."""

    actor: Actor


def journal_of_commands(site: Site) -> tuple[Path, GatewayId]:
    """Where commands write, and the name of their chain."""
    return Path(site.state_folder) / "journal-commands.db", GatewayId(f"{site.gateway_id}-commands")


def operator() -> Actor:
    """Who runs a command: a user of the machine, who may do what its files allow anyway."""
    return Actor(id=f"command:{getpass.getuser()}", roles=frozenset(Role))


@contextlib.asynccontextmanager
async def commanding(site: Site) -> AsyncIterator[Commanding]:
    """The ground of one command, given back at the end.

    Raises ConfigError, DatabaseUnavailable, JournalUnavailable; Rejected when another command keeps the
    record for half a minute.
    """
    await asyncio.to_thread(foundation.state_folder, site)
    async with contextlib.AsyncExitStack() as stack:
        stores = foundation.stores(site)
        stack.push_async_callback(stores.close)
        await stores.prepare()
        journal = await _journal(site)
        stack.push_async_callback(journal.close)
        keys = await foundation.master_keys(site, stores)
        sealer, clock = AesGcmSealer(keys), SystemClock()
        yield Commanding(
            site=site,
            stores=stores,
            sealer=sealer,
            site_keys=WrappedSiteKeys(stores.site_keys, keys),
            record=Record(journal, clock, sealer),
            clock=clock,
            actor=operator(),
        )
        try:
            async with asyncio.timeout(_FORWARD_S):
                await Forwarder(journal, stores.events).flush()
        except (GatewayError, TimeoutError) as error:  # they wait for the next command
            _log.warning("events_left_in_the_journal", why=str(error) or "time-out")


async def _journal(site: Site) -> SqliteJournal:
    """The commands' journal; one command after the other."""
    path, name = journal_of_commands(site)
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await SqliteJournal.open(path, name)
        except Rejected as error:
            if error.code != "journal_in_use" or time.monotonic() > until:
                raise
        await asyncio.sleep(_LOOK_S)
