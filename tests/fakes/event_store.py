"""The shared ledger in memory, with a switch for an absent database."""

from collections.abc import Sequence

from gateway.domain.errors import DatabaseUnavailable, InvariantBroken
from gateway.domain.events import GENESIS, Event
from gateway.domain.ids import GatewayId


class FakeEventStore:
    def __init__(self) -> None:
        self.away = False
        self.chains: dict[GatewayId, list[tuple[Event, bytes]]] = {}

    async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
        self._reach()
        if not events:
            return
        gateway = events[0][0].gateway_id
        if any(e.gateway_id != gateway for e, _ in events):
            raise InvariantBroken("events of several gateways", code="ledger_mixed")
        chain = list(self.chains.get(gateway, []))
        for event, body in events:
            if event.seq <= len(chain):
                there, stored = chain[event.seq - 1]
                if (stored, there.prev_hash, there.hash) != (body, event.prev_hash, event.hash):
                    raise InvariantBroken("another event is stored", code="ledger_differs")
                continue
            if event.seq != len(chain) + 1:
                raise InvariantBroken("a gap would open", code="ledger_gap")
            if event.prev_hash != (chain[-1][0].hash if chain else GENESIS):
                raise InvariantBroken("does not link", code="ledger_differs")
            chain.append((event, body))
        self.chains[gateway] = chain

    async def last_seq(self, gateway_id: GatewayId) -> int:
        self._reach()
        return len(self.chains.get(gateway_id, []))

    def _reach(self) -> None:
        if self.away:
            raise DatabaseUnavailable("the database is away")
