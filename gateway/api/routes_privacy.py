"""Erasure with its receipt, everything about one person, and the processing record."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from gateway.api.routes_people import READERS, WRITERS
from gateway.api.routing import Answer, Call, Route
from gateway.domain.accounts import Role
from gateway.domain.ids import PersonId
from gateway.services.privacy.erasure import Erasure
from gateway.services.privacy.processing_record import Reporting
from gateway.services.privacy.subject_access import SubjectAccess

HR = frozenset({Role.HR})


class ReceiptOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was destroyed. Keep the answer byte for byte: the signature is over these very bytes."""

    by: str
    destroyed: Mapping[str, int]
    erased_at: datetime
    event: str
    format: str
    gateway: str
    key: str
    person: str
    signature: str


class ReceiptKeyOut(msgspec.Struct, frozen=True, kw_only=True):
    """The public key that receipts are checked with."""

    algorithm: str
    key: str
    """Its name in receipts."""
    public_key: str
    """Base64 of its 32 bytes (RFC 8032)."""


class ActivityOut(msgspec.Struct, frozen=True, kw_only=True):
    """One processing of personal data."""

    name: str
    purpose: str
    subjects: str
    categories: Sequence[str]
    legal_basis: str
    numbers: Mapping[str, int]
    kept: Sequence[str]
    where: Sequence[str]


class ReportOut(msgspec.Struct, frozen=True, kw_only=True):
    """The record of processing activities (GDPR art. 30) as of now."""

    site: str
    gateway: str
    at: datetime
    controller: str | None
    contact: str | None
    data_protection_officer: str | None
    activities: Sequence[ActivityOut]
    access: Mapping[str, int]
    recipients: Sequence[str]
    transfers: str | None
    safeguards: Sequence[str]
    not_stated: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRoutes:
    """What people may ask of those who hold their data, and what an authority may."""

    erasure: Erasure
    access: SubjectAccess
    reporting: Reporting

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        person = "/api/v1/people/{person_id}"
        common: dict[str, Any] = {"tag": "privacy"}
        return (
            Route(
                method="DELETE",
                path=person,
                handler=self.erase,
                summary="Erase a person: their key and all that is held about them",
                description="The record keeps the pseudonym. The answer is a signed receipt.",
                roles=WRITERS,
                scope="people:erase",
                answer=ReceiptOut,
                errors=("no_such_person",),
                **common,
            ),
            Route(
                method="GET",
                path=f"{person}/receipt",
                handler=self.read_receipt,
                summary="The receipt of an erasure, again",
                roles=READERS,
                scope="people:read",
                answer=ReceiptOut,
                errors=("no_such_receipt", "no_such_person"),
                **common,
            ),
            Route(
                method="GET",
                path=f"{person}/export",
                handler=self.export,
                summary="Everything held about a person, as a ZIP; the look is recorded",
                roles=HR,
                scope="people:export",
                errors=("no_such_person",),
                produces="application/zip",
                **common,
            ),
            Route(
                method="GET",
                path="/api/v1/privacy/report",
                handler=self.report,
                summary="The record of processing activities as of now",
                roles=READERS,
                scope="privacy:read",
                answer=ReportOut,
                **common,
            ),
            Route(
                method="GET",
                path="/api/v1/privacy/receipt-key",
                handler=self.read_key,
                summary="The public key of receipts, for everybody who holds one",
                roles=None,
                answer=ReceiptKeyOut,
                **common,
            ),
        )

    async def erase(self, call: Call) -> Answer:
        """For good."""
        return _receipt(await self.erasure.erase(call.actor, _person(call)))

    async def read_receipt(self, call: Call) -> Answer:
        """Byte for byte."""
        return _receipt(await self.erasure.receipt(_person(call)))

    async def export(self, call: Call) -> Answer:
        """The file's name says nothing of whose it is."""
        return Answer(
            body=self.access.export(call.actor, _person(call)),
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="about-you.zip"'},
        )

    async def report(self, _call: Call) -> ReportOut:
        """As of now."""
        plain = msgspec.to_builtins(await self.reporting.record())
        return msgspec.convert(plain, ReportOut)

    async def read_key(self, _call: Call) -> ReceiptKeyOut:
        """Public, as its name says."""
        name, public = await self.erasure.public_key()
        return ReceiptKeyOut(algorithm="Ed25519", key=name, public_key=base64.b64encode(public).decode())


def _person(call: Call) -> PersonId:
    return PersonId(call.path["person_id"])


def _receipt(body: bytes) -> Answer:
    return Answer(body=body, media_type="application/json")
