"""What every use case of the people's side stands on, in a running gateway as in a single command."""

from dataclasses import dataclass

from gateway.foundation import Stores
from gateway.ports import Clock, Sealer, SiteKeys
from gateway.services.witness import Record
from gateway.settings import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Settings, stores, keys and the record of one site."""

    site: Site
    stores: Stores
    sealer: Sealer
    site_keys: SiteKeys
    record: Record
    clock: Clock
