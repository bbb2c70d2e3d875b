"""Keys of the site, in memory."""

import secrets
from dataclasses import dataclass, field


@dataclass
class FakeSiteKeys:
    keys: dict[str, bytes] = field(default_factory=dict)

    async def key(self, name: str) -> bytes:
        return self.keys.setdefault(name, secrets.token_bytes(32))
