"""What is held about one person, in words a program reads and in words a person reads."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from gateway.domain.consent import Consent
from gateway.domain.enrolment import PhotographEntry
from gateway.domain.holdings import Holdings
from gateway.domain.staff import TEXTS

FORMAT = "facegate-subject-access/1"
DATA = "data.json"
README = "README.txt"
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def everything(held: Holdings, now: datetime) -> Mapping[str, Any]:
    """All but the events, as JSON has it. Never a template, a card's digest or a PIN's hash."""
    person = held.person
    return {
        "format": FORMAT,
        "made_at": now.isoformat(timespec="seconds"),
        "person": {
            "id": person.person_id,
            **{name: getattr(person, name) for name in TEXTS},
            "extended": person.extended,
            "status": person.status.value,
            "left_at": _time(held.left_at),
            "created_at": _time(person.created_at),
            "updated_at": _time(person.updated_at),
        },
        "consents": [_consent(one, held) for one in held.consents],
        "access_profiles": [
            {"profile": profile, "opens": [{"id": i, "name": name} for i, name in points]}
            for profile, points in held.access_points.items()
        ],
        "templates": [dict(one) for one in held.templates],
        "photographs": [
            {
                "id": one.photograph_id,
                "file": picture_name(one, number),
                "media_type": one.media_type,
                "quality": one.quality,
                "created_at": _time(one.created_at),
            }
            for number, one in enumerate(held.photographs, 1)
        ],
        "cards": [dict(one) for one in held.cards],
        "pin": {"set_at": _time(held.pin_since)} if held.pin_since else None,
        "imports": [dict(one) for one in held.imports],
    }


def picture_name(entry: PhotographEntry, number: int) -> str:
    """Where a photograph is in the ZIP."""
    return f"photographs/{number:03}.{_ENDINGS.get(entry.media_type, 'bin')}"


def readme(held: Holdings, now: datetime) -> str:
    """For the person: what is in the ZIP, and what is not."""
    return f"""What is held about you
======================

Made on {now:%d %B %Y at %H:%M} UTC, of the access control of your building.

data.json holds, in a form that programs can read:

  person           your entry as the personnel office keeps it
  consents         each consent to face recognition on record ({len(held.consents)}), with its text, when and
                   how it was given, until when it lasts, and whether it was withdrawn
  access_profiles  which doors you may open ({len(held.access_points)} profiles)
  templates        that, when and of which model templates of your face were made ({len(held.templates)}). A
                   template is a list of numbers that a computer compares faces by. The numbers
                   themselves are left out: they are kept sealed, and in other hands they could be misused.
  photographs      the photographs that are kept ({len(held.photographs)}); the pictures are in this ZIP
  cards            your cards by their label ({len(held.cards)}). Their numbers are not kept, only a digest
                   by which the reader knows them again.
  pin              since when you have a PIN, if you have one. The PIN itself is not kept.
  imports          lines of staff files that named your staff number ({len(held.imports)})
  events           every entry of the record about you: when which door opened or did not, and what was
                   changed in your entry. "changed" shows the value before and after. Times are in UTC.

In the record you stand under the number {held.person.person_id} alone, without your name.
Where somebody in the office acted, their account's number is shown, and not where they sat.
"""


def _consent(consent: Consent, held: Holdings) -> Mapping[str, Any]:
    plain = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(consent).items()
        if name != "consent_id"
    }
    return plain | {"text": held.texts.get(consent.text_version or "")}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
