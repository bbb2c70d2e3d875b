"""What the core needs from outside: the road of a walk-up, and the people it is for.

Every port has one contract-test class in ``tests/contract``, run on the fake and on each adapter.
"""

from gateway.ports.enrolment import Acts, Cameras, MigrationStore, PhotographStore, TemplateStore
from gateway.ports.imports import ImportStore, SealedFiles, SealedWriter, TemplateFeed
from gateway.ports.roster import RosterCopy, RosterNews
from gateway.ports.staff import ProfileStore, ProfileWitness, SiteKeys, SiteSealer, StaffStore, Witness
from gateway.ports.walkup import (
    ChangeWitness,
    Clock,
    Door,
    EventStore,
    FaceAnalyser,
    FrameSource,
    Journal,
    PeopleStore,
    Sealer,
    Sensors,
)

__all__ = [
    "Acts",
    "Cameras",
    "ChangeWitness",
    "Clock",
    "Door",
    "EventStore",
    "FaceAnalyser",
    "FrameSource",
    "ImportStore",
    "Journal",
    "MigrationStore",
    "PeopleStore",
    "PhotographStore",
    "ProfileStore",
    "ProfileWitness",
    "RosterCopy",
    "RosterNews",
    "SealedFiles",
    "SealedWriter",
    "Sealer",
    "Sensors",
    "SiteKeys",
    "SiteSealer",
    "StaffStore",
    "TemplateFeed",
    "TemplateStore",
    "Witness",
]
