"""Every route of the API in one place: served, described, and walked by the access matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import yaml

from gateway.api.limits import RateLimit
from gateway.api.openapi import document
from gateway.api.routes_accounts import AccountRoutes
from gateway.api.routes_consents import ConsentRoutes
from gateway.api.routes_credentials import CredentialRoutes
from gateway.api.routes_enrolment import Desk, EnrolmentRoutes
from gateway.api.routes_gateway import GatewayRoutes, View
from gateway.api.routes_imports import ImportRoutes
from gateway.api.routes_oidc import OidcRoutes, Outside
from gateway.api.routes_people import PeopleRoutes
from gateway.api.routes_privacy import PrivacyRoutes
from gateway.api.routes_profiles import ProfileRoutes
from gateway.api.routes_reference import ReferenceRoutes
from gateway.api.routes_session import SessionRoutes
from gateway.api.routing import Route
from gateway.services.accounts import Accounts, ApiKeys
from gateway.services.credentials import Credentials
from gateway.services.imports.exporting import Exporting
from gateway.services.imports.worker import Imports
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.privacy.erasure import Erasure
from gateway.services.privacy.processing_record import Reporting
from gateway.services.privacy.subject_access import SubjectAccess
from gateway.services.signin import SignIn
from gateway.services.staff import Profiles, Staff


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases behind the routes."""

    staff: Staff
    profiles: Profiles
    credentials: Credentials
    accounts: Accounts
    keys: ApiKeys
    sign_in: SignIn
    tries: RateLimit
    outside: Outside
    desk: Desk
    consents: ConsentDesk
    erasure: Erasure
    access: SubjectAccess
    reporting: Reporting
    imports: Imports
    exporting: Exporting
    view: View


def catalogue(services: Services) -> Sequence[Route]:
    """All routes, the reference to them included."""
    routes = [
        *PeopleRoutes(staff=services.staff).table(),
        *CredentialRoutes(credentials=services.credentials).table(),
        *EnrolmentRoutes(desk=services.desk).table(),
        *ConsentRoutes(consents=services.consents).table(),
        *PrivacyRoutes(
            erasure=services.erasure, access=services.access, reporting=services.reporting
        ).table(),
        *ImportRoutes(imports=services.imports, exporting=services.exporting).table(),
        *ProfileRoutes(profiles=services.profiles).table(),
        *SessionRoutes(sign_in=services.sign_in, tries=services.tries).table(),
        *OidcRoutes(sign_in=services.sign_in, outside=services.outside).table(),
        *AccountRoutes(accounts=services.accounts, keys=services.keys).table(),
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
