"""Which HTTP status a problem code goes with: one table for answers and for their description."""

from collections.abc import Mapping

TITLES: Mapping[int, str] = {
    400: "The request is not understood",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "It took too long",
    409: "In conflict with what is there",
    412: "It was changed meanwhile",
    413: "Too large",
    415: "Media type not supported",
    417: "Not what is expected here",
    422: "Not acceptable as it is",
    428: "A condition is needed",
    429: "Too many requests",
    500: "A fault of the gateway",
    501: "Not offered",
    503: "Not available now",
}

_CODES: Mapping[int, tuple[str, ...]] = {
    401: ("unauthenticated", "sign_in_refused"),
    403: ("forbidden", "csrf", "beyond_own_rights"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("too_slow",),
    409: (
        *("idempotency_key_reused", "request_under_way", "profile_needed", "no_consent", "not_enrolled"),
        *("person_left", "last_administrator", "code_refused", "too_many_templates", "roster_changed"),
        *("import_over", "import_running", "too_many_imports", "upload_running", "migration_incomplete"),
    ),
    412: ("version_differs",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    417: ("expectation_failed",),
    422: (
        *(
            "weak_password",
            "bad_login",
            "not_two_to_compare",
            "bad_consent",
            "bad_text",
            "not_csv",
            "no_staff_file",
        ),
        *("bad_photo", "no_photo", "too_many_photos", "no_face", "two_faces", "background_face"),
        *("too_small", "too_blurred", "too_dark", "too_bright", "low_contrast", "uneven_light", "pose"),
        *("cut_off", "landmarks", "eyes_covered", "face_covered", "already_enrolled", "photos_disagree"),
        *("not_live", "liveness_unknown", "too_few_pictures", "enrolment_refused"),
    ),
    428: ("condition_needed",),
    429: ("too_many_requests",),
    500: ("internal",),
    503: (
        *("unavailable", "disk_full", "not_ready", "busy", "provider_unavailable", "camera_unavailable"),
        *("database_unavailable", "journal_unavailable"),
    ),
}
_STATUS: Mapping[str, int] = {code: status for status, codes in _CODES.items() for code in codes}


def status_of_code(code: str) -> int | None:
    """By the table, or by how the code is built; None for one of which only its family is known."""
    if code in _STATUS:
        return _STATUS[code]
    if code.startswith("no_such_"):
        return 404
    if code.endswith("_taken"):
        return 409
    if code.startswith(("csv_", "zip")):
        return 413 if code.endswith("_too_large") else 422
    return None
