"""An import on a real database with made-up faces: a photograph is ``face:NAME``, one person a name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gateway.domain.accounts import Actor, Role
from gateway.domain.enrolment import FacesInPicture, PhotoFace
from gateway.domain.faces import Box, Detection, Embedding, Image, freeze
from gateway.domain.ids import ModelId
from gateway.ports import Clock, Sealer
from gateway.security.master_key import MasterKey
from gateway.security.sealing import AesGcmSealer
from gateway.services.enrolment import Judge, Look, Photo
from gateway.services.imports.desks import Consents, Desks, unrecorded
from gateway.services.imports.enrolling import Judging, Templates
from gateway.services.imports.importing import Importing
from gateway.services.imports.known_faces import KnownFaces
from gateway.services.privacy.consents import ConsentDesk
from gateway.services.staff import Staff
from gateway.services.witness import Acted
from gateway.storage.consents import PostgresConsents
from gateway.storage.import_people import PostgresTemplateFeed
from gateway.storage.imports import PostgresImports
from gateway.storage.pool import Database
from gateway.storage.staff import PostgresStaff
from gateway.storage.templates import PostgresTemplates
from gateway.telemetry.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fakes.faces import quality

MODEL = ModelId("made-up:0")
HR = Actor(id="account:hr", roles=frozenset({Role.HR}), address="192.0.2.7")
CONSENT_TEXT = "2026-1"
THRESHOLD = 0.6


def face_of(name: str) -> Embedding:
    """Always the same for a name; names are nearly orthogonal."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return freeze(np.random.default_rng(seed).standard_normal(128))


def picture(name: str, number: int = 1) -> bytes:
    """A photograph of somebody; different numbers are different pictures of them."""
    return f"face:{name}:{number}".encode()


class MadeUpAnalyser:
    """``FaceAnalyser``: what is no ``face:`` shows none."""

    model_id = MODEL

    def look(self, data: bytes) -> FacesInPicture:
        kind, _, rest = data.decode("utf-8", "replace").partition(":")
        name, _, number = rest.partition(":")
        face = PhotoFace(
            detection=Detection(Box(0, 0, 100, 100), ((0.0, 0.0),) * 5, 0.9),
            quality=quality(),
            embedding=freeze(face_of(name) + 0.2 * face_of(f"{name} {number}")),
        )
        return FacesInPicture(faces=(face,) if kind == "face" else (), clean=data, media_type="image/jpeg")

    def frame(self, image: Image) -> FacesInPicture:
        raise NotImplementedError


@dataclass
class MadeUpCheck:
    """``PhotoCheck`` that counts."""

    checked: int = 0
    keep: bool = False

    async def check(self, photo: Photo) -> Look:
        self.checked += 1
        return await Judging(Judge(MadeUpAnalyser()), self.keep).check(photo)


@dataclass
class Recorded:
    """``Acted`` that remembers, and can refuse."""

    actions: list[tuple[str, str | None, Mapping[str, object] | None]] = field(default_factory=list)
    fails: Exception | None = None

    async def __call__(
        self, actor: Actor, action: str, *, person_id: str | None = None, **what: object
    ) -> None:
        if self.fails is not None:
            raise self.fails
        self.actions.append((action, person_id, what.get("after")))  # type: ignore[arg-type]

    def of(self, action: str) -> int:
        return sum(a == action for a, _, _ in self.actions)


def a_sealer() -> AesGcmSealer:
    return AesGcmSealer(MasterKey(bytes(range(32))))


def desks(database: Database, sealer: Sealer, acted: Acted, *, keep: bool = False) -> Desks:
    return Desks(
        staff=Staff(PostgresStaff(database), sealer, acted),
        consents=Consents(
            ConsentDesk(store=PostgresConsents(database), acted=acted, clock=SystemClock()), SystemClock()
        ),
        templates=Templates(
            store=PostgresTemplates(database),
            sealer=sealer,
            judge=Judge(MadeUpAnalyser()),
            acted=acted,
            keep_photographs=keep,
        ),
    )


def importing(
    database: Database,
    *,
    acted: Acted | None = None,
    check: MadeUpCheck | None = None,
    clock: Clock | None = None,
) -> Importing:
    sealer, told, made = a_sealer(), acted or Recorded(), check or MadeUpCheck()
    return Importing(
        store=PostgresImports(database),
        desks=desks(database, sealer, told, keep=made.keep),
        rehearsed=desks(database, sealer, unrecorded, keep=made.keep),
        check=made,
        faces=lambda: KnownFaces(PostgresTemplateFeed(database), sealer, MODEL, lambda _n: THRESHOLD),
        clock=clock or FakeClock(),
        acted=told,
        pauses_s=(),
    )


async def add_consent_text(database: Database) -> None:
    async with database.connection() as db:
        await db.execute(
            "INSERT INTO consent_texts (version, language, body) VALUES ($1, 'en', 'I agree')", CONSENT_TEXT
        )


def write_staff(folder: Path, count: int, *, first: int = 1, photos: bool = True) -> tuple[Path, Path]:
    """``staff.csv`` and ``PHOTOS/``, one picture each."""
    staff, pictures = folder / "staff.csv", folder / "PHOTOS"
    pictures.mkdir(exist_ok=True)
    consent = f",{CONSENT_TEXT},2026-01-31,paper"
    lines = ["number,name,department,consent_version,consent_given_on,consent_how"]
    for i in range(first, first + count):
        lines.append(f"E{i},Person {i},Works{consent}")
        if photos:
            (pictures / f"E{i}.jpg").write_bytes(picture(f"E{i}"))
    staff.write_text("\n".join(lines) + "\n", "utf-8")
    return staff, pictures


NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
