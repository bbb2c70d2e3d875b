"""How often one caller may ask: a bucket of tokens each, filled steadily."""

from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.ports import Clock

_MOST_CALLERS = 10_000


@dataclass(slots=True)
class RateLimit:
    """Token buckets by caller (their id, or the address of who has none)."""

    clock: Clock
    per_s: float
    burst: float
    _buckets: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def wait_s(self, caller: str) -> float:
        """0 when the caller may go on, which costs a token; else how long until there is one."""
        now_ns = self.clock.monotonic_ns()
        tokens, then_ns = self._buckets.pop(caller, (self.burst, now_ns))
        tokens = min(self.burst, tokens + (now_ns - then_ns) / 1e9 * self.per_s)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.per_s
        self._buckets[caller] = (tokens - 1 if wait == 0 else tokens, now_ns)
        while len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)  # longest not seen: its bucket is the fullest
        return wait
