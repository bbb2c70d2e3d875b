"""What is wrong with a photograph, in words that somebody before a camera can act on."""

from collections.abc import Iterator

from gateway.domain.enrolment import Component, Measure, PhotoFace, Reason
from gateway.domain.faces import Quality, QualityIssue

_BY_ISSUE = {
    QualityIssue.TOO_SMALL: ("too_small", "the face is too small ({d:.0f} px between the eyes); come closer"),
    QualityIssue.BLURRED: ("too_blurred", "the face is blurred; hold still, focus, and use more light"),
    QualityIssue.TOO_DARK: ("too_dark", "the face is too dark; use more light from the front"),
    QualityIssue.TOO_BRIGHT: ("too_bright", "the face is overexposed; use less direct light"),
    QualityIssue.POSE: ("pose", "the face is turned away; look straight into the camera"),
    QualityIssue.CUT_OFF: ("cut_off", "the face is cut off by the picture's edge; show the whole head"),
    QualityIssue.LANDMARKS: ("landmarks", "eyes, nose and mouth are not all seen; take off what covers them"),
}
_OF_COMPONENT = {
    Component.EYE_DISTANCE: _BY_ISSUE[QualityIssue.TOO_SMALL],
    Component.SHARPNESS: _BY_ISSUE[QualityIssue.BLURRED],
    Component.UNDER_EXPOSURE: _BY_ISSUE[QualityIssue.TOO_DARK],
    Component.OVER_EXPOSURE: _BY_ISSUE[QualityIssue.TOO_BRIGHT],
    Component.DYNAMIC_RANGE: (
        "low_contrast",
        "the face shows hardly any shades; use even light, and take off what covers it",
    ),
    Component.ILLUMINATION: (
        "uneven_light",
        "one half of the face is lit and the other in shadow; use light from the front",
    ),
    Component.YAW: ("pose", "the face is turned aside by about {v:.0f}°; look straight into the camera"),
    Component.PITCH: (
        "pose",
        "the face is raised or lowered by about {v:.0f}°; look straight into the camera",
    ),
    Component.ROLL: ("pose", "the head is tilted by {v:.0f}°; hold it upright"),
    Component.EYES_VISIBLE: (
        "eyes_covered",
        "an eye is not seen; take off dark glasses, and keep hair and hands away",
    ),
    Component.MOUTH_VISIBLE: ("face_covered", "the mouth is not seen; take off mask or scarf"),
    Component.HEAD_IN_FRAME: _BY_ISSUE[QualityIssue.CUT_OFF],
}
_MIDDLE = 125.0
"""Of the brightness: what is refused for it is too dark below and too bright above."""


def reasons_of(face: PhotoFace) -> tuple[Reason, ...]:
    """Everything that speaks against one face, each once."""
    found: dict[str, Reason] = {}
    for reason in (*_of_measures(face), *_of_quality(face.quality)):
        found.setdefault(reason.code, reason)
    if face.embedding is None and "landmarks" not in found:
        code, advice = _BY_ISSUE[QualityIssue.LANDMARKS]
        found[code] = Reason(code=code, message=advice)
    return tuple(found.values())


def _of_measures(face: PhotoFace) -> Iterator[Reason]:
    for measure in face.measures:
        if measure.refused:
            code, advice = _advice(measure)
            text = advice.format(d=face.quality.eye_distance_px, v=abs(measure.value))
            yield Reason(code=code, message=text, component=measure.component)


def _advice(measure: Measure) -> tuple[str, str]:
    if measure.component is Component.LUMINANCE:
        dark = measure.value < _MIDDLE
        return _BY_ISSUE[QualityIssue.TOO_DARK if dark else QualityIssue.TOO_BRIGHT]
    return _OF_COMPONENT[measure.component]


def _of_quality(quality: Quality) -> Iterator[Reason]:
    """What a door would refuse is refused here as well."""
    for issue in quality.issues:
        code, advice = _BY_ISSUE[issue]
        yield Reason(code=code, message=advice.format(d=quality.eye_distance_px))
