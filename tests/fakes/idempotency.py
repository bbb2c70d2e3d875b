"""Answers kept in memory."""

from gateway.domain.errors import Rejected
from gateway.ports.requests import StoredAnswer


class FakeIdempotency:
    def __init__(self) -> None:
        self.held: list[tuple[str, str]] = []
        self.kept: dict[tuple[str, str], tuple[bytes, StoredAnswer | None]] = {}

    async def claim(self, actor: str, key: str, request: bytes) -> StoredAnswer | None:
        known = self.kept.get((actor, key))
        if known is None:
            self.kept[actor, key] = (request, None)
            return None
        if known[0] != request:
            raise Rejected("another request", code="idempotency_key_reused")
        if known[1] is None:
            raise Rejected("not answered yet", code="request_under_way")
        return known[1]

    async def hold(self, actor: str, key: str) -> None:
        self.held.append((actor, key))

    async def settle(self, actor: str, key: str, answer: StoredAnswer | None) -> None:
        if answer is None:
            del self.kept[actor, key]
        else:
            self.kept[actor, key] = (self.kept[actor, key][0], answer)
