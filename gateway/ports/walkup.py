"""What a walk-up needs from outside, from the camera to the ledger."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.domain.doors import Actuation, DoorHealth, Release
from gateway.domain.enrolment import (
    FacesInPicture,
    PhotoFace,
    Purpose,
    SealedPhotograph,
    SealedTemplate,
    StoredPerson,
)
from gateway.domain.events import Event, EventDraft
from gateway.domain.faces import Image
from gateway.domain.ids import AccessPointId, DoorId, GatewayId, ModelId, PersonId
from gateway.domain.readings import Readings

ChangeWitness = Callable[[], Awaitable[None]]
"""Called inside a change's transaction just before its commit; what it raises undoes the change."""


class Clock(Protocol):
    """Time. Records use ``now``, deadlines use ``monotonic_ns``; the two never mix."""

    def now(self) -> datetime:
        """UTC, with its time zone."""
        ...

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC: shared by all processes of the machine, unmoved by the wall clock."""
        ...


class FrameSource(Protocol):
    """One camera. Blocking; owned by a single capture thread of a vision worker."""

    paced: bool
    """The source itself sets the pace (a live camera, a recording at its own speed). When False every
    ``read`` returns at once and the capture thread waits until the frame before has been analysed."""

    def open(self) -> None:
        """Connect within the open time-out. Raises CameraUnavailable; may be called again after close."""
        ...

    def read(self) -> tuple[Image, float | None] | None:
        """Next picture and its media time in seconds (None when live); None at the end of a recording.

        Blocks no longer than the read time-out. Raises CameraUnavailable.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent, never raises."""
        ...


class Journal(Protocol):
    """The gateway's own durable, chained record on local disk."""

    async def append(self, *drafts: EventDraft) -> tuple[Event, ...]:
        """Chain and store, all or none; returns after fsync.

        An unlock_outcome appended once more, because its commit seemed to fail, is the event it already is.
        Raises JournalUnavailable; InvalidInput for a draft that cannot be stored; Rejected (code
        "duplicate_event") for a second intent or another outcome of a grant.
        """
        ...

    async def open_grants(self) -> tuple[Event, ...]:
        """access_granted events that have no unlock_outcome yet, oldest first."""
        ...

    async def unforwarded(self, limit: int) -> tuple[tuple[Event, bytes], ...]:
        """Oldest events not yet marked as forwarded, each with its canonical bytes, in order."""
        ...

    async def mark_forwarded(self, seq: int) -> None:
        """Everything up to and including ``seq`` is in the event store."""
        ...

    async def backlog(self) -> int:
        """How many events are not yet marked as forwarded. Reads no disk."""
        ...


class EventStore(Protocol):
    """The shared ledger in Postgres."""

    async def store(self, events: Sequence[tuple[Event, bytes]]) -> None:
        """Insert in order, all or none; events already there are skipped if identical.

        Raises DatabaseUnavailable, or InvariantBroken when a stored event differs or a gap would open.
        """
        ...

    async def last_seq(self, gateway_id: GatewayId) -> int:
        """Highest stored sequence number of a gateway, 0 for none."""
        ...


class PeopleStore(Protocol):
    """Employees, consents and sealed templates. Never sees a template in the clear."""

    async def roster_version(self) -> int:
        """A number that changes with every change of people, consents, templates or profiles."""
        ...

    async def load(
        self, model_id: ModelId, known: Mapping[PersonId, StoredPerson] | None = None
    ) -> tuple[int, Sequence[StoredPerson]]:
        """Everyone with their profiles, wrapped keys and sealed templates of one model, at one version.

        ``known`` is what the same database gave before, for the same model: who has not changed since may be
        the very same object.
        """
        ...

    async def enrol(
        self,
        *,
        number: str,
        name: str,
        profile: str,
        consent: str | None,
        person_id: PersonId,
        wrapped_key: bytes,
        templates: Sequence[SealedTemplate],
        expected_version: int,
        photographs: Sequence[SealedPhotograph] = (),
        witness: ChangeWitness | None = None,
    ) -> None:
        """Create the person, or replace the templates and photographs of the one with this number and id.

        One transaction. ``wrapped_key`` is for a new person: one who is there keeps theirs. ``consent`` is
        who attested it and to which text; None records none, and then no template is allowed.
        ``expected_version`` is the roster version the caller checked for duplicates against. Raises Rejected
        (code "roster_changed") if it is no longer current, InvalidInput for an unknown profile.
        """
        ...

    async def sync_access_points(self, points: Sequence[tuple[AccessPointId, str]]) -> None:
        """Store the site file's access points; other gateways' stay. The profile "staff" holds new ones."""
        ...


class Sealer(Protocol):
    """AES-256-GCM sealing under per-person keys, which are wrapped by the master key."""

    def new_key(self, person_id: PersonId) -> bytes:
        """A fresh person key, wrapped."""
        ...

    def seal(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, plain: bytes) -> bytes:
        """Seal bytes so that they open only for this person, model and format version."""
        ...

    def open(self, wrapped_key: bytes, person_id: PersonId, model_id: ModelId, sealed: bytes) -> bytes:
        """Open sealed bytes. Raises SealBroken."""
        ...

    def seal_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, plain: bytes
    ) -> bytes:
        """Seal bytes so that they open only for this person, purpose and label; see ``Purpose``."""
        ...

    def open_as(
        self, wrapped_key: bytes, person_id: PersonId, purpose: Purpose, label: str, sealed: bytes
    ) -> bytes:
        """Open what ``seal_as`` sealed. Raises SealBroken."""
        ...


class Door(Protocol):
    """One lock: a door's, or one direction of a turnstile."""

    door_id: DoorId

    async def start(self) -> None:
        """Begin connecting; every owned output goes OFF before the first unlock. Idempotent."""
        ...

    async def unlock(self, order: Release) -> Actuation:
        """At most one pulse per order, and none after ``order.expires_ns``.

        Device trouble is in the outcome, never raised; a second call with the same grant id sends
        nothing. Cancellation leaves the pulse to end as if nobody had called. Raises InvariantBroken
        for a grant of an access point that this lock does not serve.
        """
        ...

    async def lock(self) -> bool:
        """Output OFF; True when the device confirmed it. Always allowed."""
        ...

    def health(self) -> DoorHealth:
        """Last known state; never blocks."""
        ...

    async def aclose(self) -> None:
        """OFF, then disconnect. Idempotent."""
        ...


class Sensors(Protocol):
    """What is fitted to one door or turnstile. Nothing here waits."""

    def subscribe(self, on_readings: Callable[[Readings], None]) -> None:
        """``on_readings`` is called with every look, about ten times a second, and must not raise.

        It is also called when a device can no longer be read: then what it would say is None.
        """
        ...

    def latest(self) -> Readings:
        """The last look. Its ``at_ns`` is that of the oldest part that is not None."""
        ...

    def alarms(self) -> frozenset[str]:
        """What is wrong with the sensors themselves, now or within the last minute."""
        ...


class FaceAnalyser(Protocol):
    """Finds and judges the faces in a photograph. Blocking: call it in a thread."""

    model_id: ModelId

    def photograph(self, data: bytes) -> Sequence[PhotoFace]:
        """Faces, largest first, of an encoded image. Raises InvalidInput when it is not a picture."""
        ...

    def look(self, data: bytes) -> FacesInPicture:
        """As ``photograph``, with the picture freed of what else its file held. Raises InvalidInput."""
        ...

    def frame(self, picture: Image) -> FacesInPicture:
        """Faces of a camera's picture with their liveness; the picture is cut to the largest."""
        ...
