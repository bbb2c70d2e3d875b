"""What a site does with people's data, read off its settings and its database.

Every number and every rule is the site's own. A thing that is not there is not spoken of.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.holdings import SiteFigures
from gateway.domain.imports import REPORTS_KEPT
from gateway.domain.processing import Activity
from gateway.settings import Site

NOT_STATED = "not stated in the site file"
_CONSENT = "explicit consent, GDPR art. 6(1)(a) and art. 9(2)(a)"
_UNENDED = "no rule of the site file ends it"


@dataclass(frozen=True, slots=True)
class Activities:
    """One site at one moment."""

    site: Site
    held: SiteFigures

    def all(self) -> Sequence[Activity]:
        """Those there are."""
        return [*self._always(), *self._where_there_is_some()]

    def _always(self) -> Iterator[Activity]:
        yield self._staff()
        yield self._templates()
        yield self._looking()
        yield self._ledger()

    def _where_there_is_some(self) -> Iterator[Activity]:
        if self.site.enrolment.keep_photographs or self.held.photographs:
            yield self._photographs()
        if self.held.cards or self.held.pins:
            yield self._credentials()
        if self.held.accounts or self.held.api_keys:
            yield self._accounts()
        if self.held.imports:
            yield self._imports()
        if self.held.receipts:
            yield self._receipts()

    def _staff(self) -> Activity:
        days = self.site.privacy.erase_left_after_days
        ends = f"erased {days} days after somebody has left" if days else f"until erased; {_UNENDED}"
        return self._activity(
            "Staff data",
            subjects="people who work here or did",
            categories=["name, staff number and what the personnel office adds", "status", "access profiles"],
            numbers={f"people, {status}": count for status, count in self.held.people.items()},
            kept=[ends, "sealed answers for callers who repeat a request: a day"],
            where=[*self._database(), *self._copy()],
        )

    def _templates(self) -> Activity:
        rules = self.site.privacy
        kept = ["while a consent is in force; its withdrawal or end destroys them at once"]
        if rules.consent_valid_days:
            kept.append(f"a consent lasts {rules.consent_valid_days} days at most")
        if rules.unused_template_days:
            kept.append(f"destroyed when they opened no door for {rules.unused_template_days} days")
        numbers = {
            "people with templates": self.held.people_with_templates,
            **{f"templates of {model}": count for model, count in self.held.templates.items()},
            "consents in force": self.held.consents_in_force,
            "consents withdrawn or expired": self.held.consents_ended,
            **_texts(self.held.consents_by_text),
        }
        return self._activity(
            "Face recognition: templates",
            subjects="people who consented to it",
            categories=["templates of the face (biometric data, GDPR art. 9)", "consents"],
            legal_basis=_CONSENT,
            numbers=numbers,
            kept=kept,
            where=[*self._database(), *self._copy()],
        )

    def _looking(self) -> Activity:
        points = {p.camera: [] for p in self.site.access_points}  # type: dict[str, list[str]]
        for point in self.site.access_points:
            points[point.camera].append(point.name)
        return self._activity(
            "Face recognition: looking at who stands at a door",
            subjects="everybody whom a door camera sees",
            categories=["camera pictures and what is computed of the faces in them"],
            numbers={"cameras": len(self.site.cameras), "access points": len(self.site.access_points)},
            kept=[
                "in memory while somebody stands there; no picture is stored, and no template of a stranger"
            ],
            where=[
                f"camera {c.id}: {', '.join(points.get(c.id, ['no access point']))}"
                for c in self.site.cameras
            ],
        )

    def _ledger(self) -> Activity:
        oldest = self.held.oldest_event
        since = [f"the oldest event is of {oldest.date().isoformat()}"] if oldest else []
        folder = self.site.state_folder
        journals = [
            f"journal of this gateway: {folder}/journal.db",
            f"journal of its commands: {folder}/journal-commands.db",
        ]
        return self._activity(
            "Record of accesses and of what operators do",
            subjects="people who work here or did, by pseudonym; operators by their account's id",
            categories=[
                "when which door opened or did not, for whom",
                "who changed what, from which address; names and other values sealed under the person's key",
            ],
            numbers={"events in the database": self.held.events},
            kept=[f"append-only: {_UNENDED}", *since, "after an erasure the pseudonym alone remains"],
            where=[*self._database(), *journals],
        )

    def _photographs(self) -> Activity:
        days = self.site.privacy.photographs_days
        kept = ["no longer than the templates made of them may be"]
        kept.append(f"destroyed after {days} days" if days else f"by age: {_UNENDED}")
        if not self.site.enrolment.keep_photographs:
            kept.append("new ones are not kept: enrolment.keep_photographs is off")
        return self._activity(
            "Kept photographs",
            subjects="people who consented to face recognition",
            categories=["photographs they were enrolled with"],
            purpose="new templates for a new model without a new appointment",
            legal_basis=_CONSENT,
            numbers={"photographs": self.held.photographs},
            kept=kept,
        )

    def _credentials(self) -> Activity:
        return self._activity(
            "Cards and PINs",
            subjects="people who work here, also those who declined face recognition",
            categories=["keyed digest and label of a card", "argon2id hash of a PIN"],
            numbers={"cards": self.held.cards, "PINs": self.held.pins},
            kept=["until removed, or with the person"],
        )

    def _accounts(self) -> Activity:
        return self._activity(
            "Accounts of operators",
            subjects="people who operate this system",
            categories=[
                "login, name, roles",
                "hash of the password, sealed secret of one-time codes",
                "sessions and failed sign-ins with their network address",
            ],
            purpose="only who may, sees and changes people's data",
            numbers={f"accounts, {role}": count for role, count in self.held.accounts.items()},
            kept=[f"until removed; {_UNENDED}"],
        )

    def _imports(self) -> Activity:
        return self._activity(
            "Imports of staff files",
            subjects="people named in the files",
            categories=["staff numbers and what became of each line"],
            numbers={"imports": self.held.imports},
            kept=[
                f"the report of an import: {REPORTS_KEPT.days} days; an erased person's lines go with them",
                "the uploaded files, sealed: until the import is over",
            ],
            where=[*self._database(), f"uploads of this gateway: {self.site.state_folder}/uploads"],
        )

    def _receipts(self) -> Activity:
        days = self.site.privacy.receipts_days
        return self._activity(
            "Receipts of erasures",
            subjects="erased people, by pseudonym",
            categories=["what was destroyed, when and on whose order"],
            purpose="proof that an erasure was carried out",
            numbers={"receipts": self.held.receipts},
            kept=[f"{days} days" if days else f"for good; {_UNENDED}"],
        )

    def _activity(
        self,
        name: str,
        *,
        subjects: str,
        categories: Sequence[str],
        numbers: Mapping[str, int],
        kept: Sequence[str],
        purpose: str | None = None,
        legal_basis: str | None = None,
        where: Sequence[str] | None = None,
    ) -> Activity:
        rules = self.site.privacy
        return Activity(
            name=name,
            purpose=purpose or rules.purpose or NOT_STATED,
            subjects=subjects,
            categories=categories,
            legal_basis=legal_basis or rules.legal_basis or NOT_STATED,
            numbers=numbers,
            kept=kept,
            where=self._database() if where is None else where,
        )

    def _copy(self) -> list[str]:
        hours = self.site.roster.max_age_hours
        if not hours:
            return []
        file = f"{self.site.state_folder}/roster.sealed"
        return [f"sealed copy of this gateway, made anew with every change, believed for {hours:g} h: {file}"]

    def _database(self) -> list[str]:
        if self.site.database.mode == "embedded":
            return [f"PostgreSQL of this gateway: {self.site.state_folder}/postgres"]
        return [f"PostgreSQL server named in {self.site.database.url_file}"]


def _texts(by_version: Mapping[str, int]) -> Mapping[str, int]:
    return {
        f"consents in force to text {version}" if version else "consents in force, attested in words": count
        for version, count in by_version.items()
    }
