"""The site's own data keys, wrapped by the master key."""

from dataclasses import dataclass, field

from gateway.ports.keys import SiteKeyStore
from gateway.security.wrapping import SITE, Keys, KeyWrapping, unwrap


@dataclass(frozen=True, slots=True)
class WrappedSiteKeys:
    """``ports.SiteKeys``."""

    store: SiteKeyStore
    master: Keys
    _opened: dict[str, bytes] = field(default_factory=dict, repr=False)

    async def key(self, name: str) -> bytes:
        """The 32 bytes called ``name``, made at first use. Raises DatabaseUnavailable, SealBroken."""
        if name not in self._opened:
            wrapped = await self.store.get(name)
            if wrapped is None:
                wrapped = await self.store.put(name, KeyWrapping(self.master).new(SITE, name))
            self._opened[name] = unwrap(self.master, SITE, name, wrapped)
        return self._opened[name]
