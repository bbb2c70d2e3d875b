"""Checks a stopped gateway's record: the journal's chain, the ledger's chain, and that they agree."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from gateway import foundation
from gateway.commands import journal_of_commands
from gateway.domain.errors import InvalidInput
from gateway.domain.events import ChainFault, Row
from gateway.domain.ids import GatewayId
from gateway.services import audit
from gateway.settings import Site
from gateway.storage.journal import SqliteJournal


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    verdicts: dict[str, audit.Verdict]
    difference: ChainFault | None

    @property
    def whole(self) -> bool:
        """Nothing is wrong anywhere."""
        return self.difference is None and all(v.whole for v in self.verdicts.values())


async def check(site: Site, *, with_database: bool = True) -> Checked:
    """Verify. Raises Rejected while the gateway runs, InvariantBroken, DatabaseUnavailable."""
    path = Path(site.state_folder) / "journal.db"
    if not await asyncio.to_thread(path.exists):
        raise InvalidInput(f"{path}: there is no journal; has this gateway ever run with this site file?")
    chains = [("", path, GatewayId(site.gateway_id))]
    commands, name = journal_of_commands(site)
    if await asyncio.to_thread(commands.exists):
        chains.append((" of commands", commands, name))
    stores = foundation.stores(site)
    try:
        if with_database:
            await stores.prepare()
        verdicts: dict[str, audit.Verdict] = {}
        difference = None
        for suffix, journal, gateway_id in chains:
            found = await _check_one(journal, gateway_id, stores if with_database else None)
            verdicts |= {f"{what}{suffix}": verdict for what, verdict in found.verdicts.items()}
            difference = difference or found.difference
        return Checked(verdicts, difference)
    finally:
        await stores.close()


async def _check_one(path: Path, gateway_id: GatewayId, stores: foundation.Stores | None) -> Checked:
    """One journal's chain, and its part of the ledger."""
    journal = await SqliteJournal.open(path, gateway_id, check_tail=False)
    try:
        verdicts = {"journal": await audit.verify(journal.rows)}
        if stores is None:
            return Checked(verdicts, None)
        events = stores.events

        async def ledger(after: int, limit: int) -> tuple[Row, ...]:
            return await events.rows(gateway_id, after, limit)

        verdicts["ledger"] = await audit.verify(ledger)
        difference = (
            await audit.compare(journal.rows, ledger)
            or _cut_off(verdicts["ledger"].events, journal.forwarded)
            or _false(await events.false_column(gateway_id) if verdicts["ledger"].whole else None)
        )
        return Checked(verdicts, difference)
    finally:
        await journal.close()


def _cut_off(stored: int, forwarded: int) -> ChainFault | None:
    """The ledger's end may only be missing as far as it was never sent."""
    if stored >= forwarded:
        return None
    return ChainFault(stored + 1, f"the ledger ends here, and the journal has sent {forwarded} events")


def _false(seq: int | None) -> ChainFault | None:
    return None if seq is None else ChainFault(seq, "a search column does not say what the chained bytes say")
