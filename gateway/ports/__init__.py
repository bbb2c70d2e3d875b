"""What the core needs from outside: the road of a walk-up, and the people it is for.

Every port has one contract-test class in ``tests/contract``, run on the fake and on each adapter.
"""

from gateway.ports.imports import (
    ConsentDesk,
    ConsentStore,
    ImportStore,
    Judged,
    Originals,
    SealedFiles,
    SealedWriter,
    StaffDesk,
    StoredTemplate,
    TemplateDesk,
    TemplateFeed,
    TemplateStore,
)
from gateway.ports.staff import ProfileStore, ProfileWitness, SiteKeys, StaffStore, Witness
from gateway.ports.walkup import (
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
    "Clock",
    "ConsentDesk",
    "ConsentStore",
    "Door",
    "EventStore",
    "FaceAnalyser",
    "FrameSource",
    "ImportStore",
    "Journal",
    "Judged",
    "Originals",
    "PeopleStore",
    "ProfileStore",
    "ProfileWitness",
    "SealedFiles",
    "SealedWriter",
    "Sealer",
    "Sensors",
    "SiteKeys",
    "StaffDesk",
    "StaffStore",
    "StoredTemplate",
    "TemplateDesk",
    "TemplateFeed",
    "TemplateStore",
    "Witness",
]
