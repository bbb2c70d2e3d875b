"""Every route of the API in one place: served, described, and walked by the access matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import yaml

from gateway.api.openapi import document
from gateway.api.routes_credentials import CredentialRoutes
from gateway.api.routes_gateway import GatewayRoutes, View
from gateway.api.routes_people import PeopleRoutes
from gateway.api.routes_profiles import ProfileRoutes
from gateway.api.routes_reference import ReferenceRoutes
from gateway.api.routing import Route
from gateway.services.credentials import Credentials
from gateway.services.staff import Profiles, Staff


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases behind the routes."""

    staff: Staff
    profiles: Profiles
    credentials: Credentials
    view: View


def catalogue(services: Services) -> Sequence[Route]:
    """All routes, the reference to them included."""
    routes = [
        *PeopleRoutes(staff=services.staff).table(),
        *CredentialRoutes(credentials=services.credentials).table(),
        *ProfileRoutes(profiles=services.profiles).table(),
        *GatewayRoutes(view=services.view).table(),
    ]
    return [*routes, *ReferenceRoutes(routes).table()]


def openapi_yaml() -> str:
    """The OpenAPI document as it is kept beside the code. Nothing is served for it."""
    nothing: Any = None
    services = Services(**dict.fromkeys((f.name for f in fields(Services)), nothing))
    plain = msgspec.to_builtins(document(catalogue(services)))
    text: str = yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )
    return text
