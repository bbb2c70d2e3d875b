"""The site's processing record (GDPR art. 30), from its running configuration and its database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.domain.holdings import SiteFigures
from gateway.domain.processing import Activity, ProcessingRecord
from gateway.ports.privacy import FiguresStore
from gateway.services.privacy.activities import NOT_STATED, Activities
from gateway.settings import Site

_CONTROLLERS = (
    "controller",
    "contact",
    "data_protection_officer",
    "purpose",
    "legal_basis",
    "recipients",
    "transfers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """The use case behind ``facegate privacy report`` and its route."""

    site: Site
    store: FiguresStore

    async def record(self) -> ProcessingRecord:
        """As of now. Raises DatabaseUnavailable."""
        return processing_record(self.site, await self.store.figures())


def processing_record(site: Site, held: SiteFigures) -> ProcessingRecord:
    """The record of one site with these figures."""
    rules = site.privacy
    return ProcessingRecord(
        site=site.name,
        gateway=site.gateway_id,
        at=held.at,
        controller=rules.controller,
        contact=rules.contact,
        data_protection_officer=rules.data_protection_officer,
        activities=Activities(site, held).all(),
        access={
            **{f"accounts with the role {role}": count for role, count in held.accounts.items()},
            **{f"API keys with the role {role}": count for role, count in held.api_keys.items()},
        },
        recipients=list(rules.recipients),
        transfers=rules.transfers,
        safeguards=list(_safeguards(site)),
        not_stated=[f"privacy.{name}" for name in _CONTROLLERS if not getattr(rules, name)],
    )


def _safeguards(site: Site) -> Iterator[str]:
    """What this version does in any case, and what this site's settings add or take away."""
    yield (
        "templates and photographs are sealed with AES-256-GCM under a key of each person, which is itself "
        "sealed under a master key that is not in the database; erasing a person destroys their key"
    )
    yield "the record is append-only and hash-chained, and names people by pseudonym alone"
    yield "every change by an operator and every look at a photograph is on record"
    off = [p.name for p in site.access_points if p.liveness == "off"]
    if off:
        yield f"NO liveness check at: {', '.join(off)}"
    on = len(site.access_points) - len(off)
    if on:
        yield f"a liveness check at {on} of {len(site.access_points)} access points"
    if site.api is not None:
        how = "TLS" if site.api.certificate_file else "without TLS, on this machine alone"
        yield f"the API is served at {site.api.host}:{site.api.port}, {how}; every endpoint asks for a role"
    if site.metrics is not None:
        yield f"metrics, without personal data, are served at {site.metrics.host}:{site.metrics.port}"
    age = site.recognition.roster_max_age_s
    yield f"without its database a gateway works on with a roster that is at most {age:g} s old"


def as_text(record: ProcessingRecord) -> str:
    """The record for people."""
    said = [
        f"Record of processing activities (GDPR art. 30): {record.site}",
        f"As of {record.at:%Y-%m-%d %H:%M} UTC, by gateway {record.gateway} from its settings and database.",
        "",
        f"Controller: {record.controller or NOT_STATED}",
        f"Contact: {record.contact or NOT_STATED}",
        f"Data protection officer: {record.data_protection_officer or NOT_STATED}",
    ]
    for number, activity in enumerate(record.activities, 1):
        said += ["", f"{number}. {activity.name}", *_activity(activity)]
    said += ["", "Who can look", *_bullets([f"{what}: {count}" for what, count in record.access.items()])]
    said += ["", "Recipients outside", *_bullets(record.recipients)]
    said += ["", f"Transfers outside the EU: {record.transfers or NOT_STATED}"]
    said += ["", "Safeguards", *_bullets(record.safeguards)]
    if record.not_stated:
        said += ["", "For the controller to state in the site file", *_bullets(record.not_stated)]
    return "\n".join(said) + "\n"


def _activity(activity: Activity) -> Iterator[str]:
    yield f"   Purpose: {activity.purpose}"
    yield f"   Whose data: {activity.subjects}"
    yield f"   What: {'; '.join(activity.categories)}"
    yield f"   Legal basis: {activity.legal_basis}"
    yield f"   How long: {'; '.join(activity.kept)}"
    yield f"   Where: {'; '.join(activity.where)}"
    yield f"   Now: {', '.join(f'{what}: {count}' for what, count in activity.numbers.items()) or 'none'}"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"   - {line}" for line in lines] or ["   - none stated"]
