"""Errors by what the caller can do about them. Each carries a stable code."""


class GatewayError(Exception):
    """Base of every error Facegate raises on purpose."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """Keep the message a person reads and the stable code a program reads."""
        super().__init__(message)
        if code is not None:
            self.code = code


class Unavailable(GatewayError):
    """Something outside is down or slow; the same call may succeed later."""

    code = "unavailable"


class Rejected(GatewayError):
    """The other side answered, and said no."""

    code = "rejected"


class InvalidInput(GatewayError):
    """What was given is wrong; the message says what, where and how to mend it."""

    code = "invalid_input"


class InvariantBroken(GatewayError):
    """A bug or tampering: something that cannot be true is."""

    code = "invariant_broken"


class ConfigError(InvalidInput):
    """A site file line is wrong: names file, key and fix."""

    code = "config_invalid"


class JournalUnavailable(Unavailable):
    """The local record cannot be written; no door may open."""

    code = "journal_unavailable"


class DatabaseUnavailable(Unavailable):
    """Postgres does not answer."""

    code = "database_unavailable"


class CameraUnavailable(Unavailable):
    """A camera cannot be opened, is silent or gave broken data."""

    code = "camera_unavailable"


class ModelMissing(InvalidInput):
    """A model file is absent or not the one in the manifest."""

    code = "model_missing"


class EnrolmentRefused(InvalidInput):
    """A photograph cannot become a template; the code says why (see services.enrolment)."""

    code = "enrolment_refused"


class SealBroken(GatewayError):
    """Sealed data does not open: wrong key, wrong person, or altered."""

    code = "seal_broken"
