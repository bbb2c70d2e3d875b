"""Enrolment: photographs or a look at a door camera become sealed templates, or a refusal that helps."""

from gateway.services.enrolment.enrol import COMMAND, Enrolment
from gateway.services.enrolment.judge import SECOND_FACE_SHARE, Judge, Look
from gateway.services.enrolment.kept import Photographs
from gateway.services.enrolment.photos import Photo, PhotographsRefused, photo_files, several
from gateway.services.enrolment.results import Enrolled

__all__ = [
    "COMMAND",
    "SECOND_FACE_SHARE",
    "Enrolled",
    "Enrolment",
    "Judge",
    "Look",
    "Photo",
    "Photographs",
    "PhotographsRefused",
    "photo_files",
    "several",
]
