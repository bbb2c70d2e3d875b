"""The use cases: enrol by staff number, by photographs of somebody known, from a camera; and take it back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from gateway.domain.accounts import Actor, Role
from gateway.domain.enrolment import MOST_PHOTOGRAPHS, Judged, Mode, Standing
from gateway.domain.errors import EnrolmentRefused, InvalidInput, Rejected
from gateway.domain.faces import Image
from gateway.domain.ids import PersonId
from gateway.domain.people import PersonStatus, Roster
from gateway.ports import Acts, FaceAnalyser, PeopleStore, Sealer, TemplateStore
from gateway.services.enrolment import compare
from gateway.services.enrolment.frames import chosen
from gateway.services.enrolment.judge import Judge, Look
from gateway.services.enrolment.photos import Photo, PhotographsRefused, several
from gateway.services.enrolment.results import Compared, Enrolled, enrolled
from gateway.services.enrolment.sealed import Sealed, embedding_of, seal
from gateway.services.roster import RosterSync

_TRIES = 3
COMMAND = Actor(id="command", roles=frozenset({Role.ADMINISTRATOR}))
"""Whoever runs a command on the machine itself."""


@dataclass(slots=True, kw_only=True)
class Enrolment:
    """All ways to a template. Each checks consent, quality, agreement and duplicates, and is recorded."""

    store: PeopleStore
    templates: TemplateStore
    sealer: Sealer
    analyser: FaceAnalyser
    roster: RosterSync
    threshold: Callable[[int], float]
    """Cosine similarity from which two faces are one person's, for a gallery of so many templates."""
    record: Acts
    keep_photographs: bool = False
    live_threshold: float = 0.7
    """Mean liveness that a look at a camera must reach."""
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        """One judge, so that one picture at a time is looked at."""
        self.judge = Judge(self.analyser)

    async def enrol(
        self,
        *,
        number: str,
        name: str,
        photos: Sequence[Photo],
        consent: str,
        profile: str = "staff",
        actor: Actor = COMMAND,
    ) -> Enrolled:
        """Enrol, or renew the templates of the person with this number. All photographs or none.

        Raises EnrolmentRefused (code says why), InvalidInput, DatabaseUnavailable.
        """
        _check_words(number, name, consent)
        looks = await self._looks(several(photos))

        def known(roster: Roster) -> PersonId | None:
            return next((p.person_id for p in roster.people.values() if p.number == number), None)

        async def write(roster: Roster, me: PersonId | None, compared: Compared) -> Enrolled:
            standing = await self.templates.standing(me, self.judge.model_id) if me else None
            person_id = me or PersonId(str(uuid4()))
            key = standing.wrapped_key if standing else self.sealer.new_key(person_id)
            templates, photographs = await asyncio.to_thread(self._seal, person_id, key, looks)
            done = enrolled(
                person_id, number, looks, compared, replaced=me is not None, kept=bool(photographs)
            )
            await self.store.enrol(
                number=number,
                name=name,
                profile=profile,
                consent=consent,
                person_id=person_id,
                wrapped_key=key,
                templates=templates,
                photographs=photographs,
                expected_version=roster.version,
                witness=self._witness(actor, done, standing, Mode.REPLACE, "command"),
            )
            return done

        return await self._settle(looks, known, Mode.REPLACE, write)

    async def photographs(
        self, actor: Actor, person_id: PersonId, photos: AsyncIterator[Photo], mode: Mode = Mode.REPLACE
    ) -> Enrolled:
        """Photographs of somebody who is there already; one after the other, as they come.

        Raises PhotographsRefused with all reasons of all; EnrolmentRefused (code "no_consent", "person_left",
        "no_photo", "too_many_photos"); InvalidInput (code "no_such_person"); Rejected (code
        "too_many_templates", "roster_changed"); DatabaseUnavailable, JournalUnavailable.
        """
        await self.standing(person_id)  # before the pictures: without a consent they are not even looked at
        return await self._existing(actor, person_id, await self._looks(photos), mode, "photographs")

    async def frames(
        self,
        actor: Actor,
        person_id: PersonId,
        pictures: Sequence[Image],
        mode: Mode = Mode.REPLACE,
        *,
        liveness: bool = True,
    ) -> Enrolled:
        """Pictures of one look at a door camera, of which the best become templates.

        ``liveness``: whether they must show a live face. Raises as ``photographs``, and EnrolmentRefused
        (code "too_few_pictures", "not_live", "liveness_unknown").
        """
        await self.standing(person_id)
        looks = [await self.judge.frame(f"picture {i + 1}", picture) for i, picture in enumerate(pictures)]
        best = chosen(looks, self.threshold(1), self.live_threshold if liveness else None)
        return await self._existing(actor, person_id, best, mode, "camera")

    async def remove(self, actor: Actor, person_id: PersonId) -> tuple[int, int]:
        """Destroy a person's templates and photographs; how many of each. The person stays.

        Raises InvalidInput (code "no_such_person"), DatabaseUnavailable, JournalUnavailable.
        """
        standing = await self.templates.standing(person_id, self.judge.model_id)

        async def told() -> None:
            await self.record.acted(
                actor,
                "templates.remove",
                person_id=person_id,
                before={"templates": standing.templates, "photographs": standing.photographs},
                after={"templates": 0, "photographs": 0},
            )

        return await self.templates.remove(person_id, told)

    async def check(self, photo: Photo) -> Judged:
        """What a good photograph is judged as; nothing is stored. Raises PhotographsRefused for another."""
        judged = (await self.judge.photograph(photo)).judged
        if not judged.usable:
            raise PhotographsRefused([judged])
        return judged

    async def _existing(
        self, actor: Actor, person_id: PersonId, looks: Sequence[Look], mode: Mode, source: str
    ) -> Enrolled:
        async def write(roster: Roster, _me: PersonId | None, compared: Compared) -> Enrolled:
            standing = await self.standing(person_id)
            key = standing.wrapped_key
            templates, photographs = await asyncio.to_thread(self._seal, person_id, key, looks)
            done = enrolled(
                person_id,
                standing.number,
                looks,
                compared,
                replaced=standing.templates > 0 and mode is Mode.REPLACE,
                kept=bool(photographs),
            )
            await self.templates.store(
                person_id,
                mode=mode,
                templates=templates,
                photographs=photographs,
                expected_version=roster.version,
                witness=self._witness(actor, done, standing, mode, source),
            )
            return done

        return await self._settle(looks, lambda _roster: person_id, mode, write)

    async def _looks(self, photos: AsyncIterator[Photo]) -> list[Look]:
        """Judge every photograph, then refuse them all if one cannot be used."""
        looks: list[Look] = []
        async for photo in photos:
            if len(looks) == MOST_PHOTOGRAPHS:
                raise EnrolmentRefused(
                    f"more than {MOST_PHOTOGRAPHS} photographs; give the best ones", code="too_many_photos"
                )
            look = await self.judge.photograph(photo)
            looks.append(look if self.keep_photographs else replace(look, picture=b""))
        if not looks:
            raise EnrolmentRefused("at least one photograph is needed", code="no_photo")
        if not all(look.judged.usable for look in looks):
            raise PhotographsRefused([look.judged for look in looks])
        return looks

    async def standing(self, person_id: PersonId) -> Standing:
        """The person, if their biometrics may be held; the store asks again when it writes.

        Raises EnrolmentRefused (code "no_consent", "person_left"), InvalidInput (code "no_such_person").
        """
        standing = await self.templates.standing(person_id, self.judge.model_id)
        if standing.status is PersonStatus.LEFT:
            raise EnrolmentRefused("this person has left; nobody enrols them", code="person_left")
        if not standing.consented:
            raise EnrolmentRefused(
                "this person has given no consent that is in force; record one first, or give a card or PIN",
                code="no_consent",
            )
        return standing

    async def _settle(
        self,
        looks: Sequence[Look],
        person_of: Callable[[Roster], PersonId | None],
        mode: Mode,
        write: Callable[[Roster, PersonId | None, Compared], Awaitable[Enrolled]],
    ) -> Enrolled:
        """Compare with the newest roster and write against that version, again if it moved on meanwhile."""
        for _ in range(_TRIES):
            roster = await self.roster.refresh()
            me = person_of(roster)
            compared = await asyncio.to_thread(self._compare, looks, roster, me, mode)
            try:
                return await write(roster, me, compared)
            except Rejected as error:
                if error.code != "roster_changed":
                    raise
        raise Rejected("the roster keeps changing under this enrolment; try again", code="roster_changed")

    def _compare(self, looks: Sequence[Look], roster: Roster, me: PersonId | None, mode: Mode) -> Compared:
        """Raises PhotographsRefused: two people in the photographs, or somebody who is enrolled already."""
        embeddings = [embedding_of(look) for look in looks]
        gallery, pair = roster.gallery, self.threshold(1)
        limit = self.threshold(max(1, len(gallery.owner)))
        odd = compare.strangers_among(embeddings, pair)
        mine = compare.own_templates(gallery, me) if me else []
        like = [any(float(e @ m) >= pair for m in mine) for e in embeddings]
        judged = []
        for i, (look, embedding) in enumerate(zip(looks, embeddings, strict=True)):
            found = [compare.DISAGREES] if i in odd else []
            if mode is Mode.ADD and mine and not like[i]:
                found.append(compare.UNLIKE_BEFORE)
            other = compare.somebody_else(embedding, roster, me, limit)
            judged.append(replace(look.judged, reasons=(*found, *([other] if other else []))))
        if any(one.reasons for one in judged):
            raise PhotographsRefused(judged)
        nearest = compare.nearest_other(embeddings, gallery, me)
        return Compared(
            agreement=compare.least_agreement(embeddings),
            room=None if nearest is None else limit - nearest,
            like_before=all(like) if mine else None,
        )

    def _seal(self, person_id: PersonId, key: bytes, looks: Sequence[Look]) -> Sealed:
        return seal(self.sealer, self.judge.model_id, person_id, key, looks, keep=self.keep_photographs)

    def _witness(
        self, actor: Actor, done: Enrolled, before: Standing | None, mode: Mode, source: str
    ) -> Callable[[], Awaitable[None]]:
        """Puts the enrolment on record, with counts alone."""
        had, kept = (before.templates, before.photographs) if before else (0, 0)
        stay = mode is Mode.ADD
        new = len(done.photographs) if done.kept else 0

        async def told() -> None:
            await self.record.acted(
                actor,
                "templates.enrol",
                person_id=done.person_id,
                before={"templates": had, "photographs": kept},
                after={
                    "templates": done.templates + (had if stay else 0),
                    "photographs": new + (kept if stay else 0),
                    "source": source,
                    "mode": mode.value,
                    "like_before": done.like_before,
                },
            )

        return told


def _check_words(number: str, name: str, consent: str) -> None:
    for what, value, limit in (("number", number, 64), ("name", name, 200), ("consent", consent, 2000)):
        if not value.strip() or len(value) > limit or not value.isprintable():
            raise InvalidInput(f"{what}: needs 1 to {limit} printable characters", code=f"bad_{what}")
