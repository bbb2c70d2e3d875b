"""The tables of a site file, all but the doors."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Ident = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
Number = Annotated[int, Meta(ge=1, le=64)]
"""A relay or an input as printed on the device, from 1."""

UNSAFE_PULSE = "this door stays open if the gateway dies"
"""What a site must say in words before a device without timer and watchdog may move a door."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table of the site file."""


class Database(Section, frozen=True, kw_only=True):
    """Where Postgres is."""

    mode: Literal["embedded", "server"] = "embedded"
    url_file: str | None = None
    """File with a postgresql:// URL; needed for ``mode = "server"``."""


class Keys(Section, frozen=True, kw_only=True):
    """Where the master key is."""

    file: str | None = None
    """``master.key`` in the state folder by default. A file named in the environment variable
    FACEGATE_MASTER_KEY_FILE, and after it systemd's credential facegate-master-key, come first."""


class Camera(Section, frozen=True, kw_only=True):
    """One camera."""

    id: Ident
    url: str
    """rtsp://, http(s)://, /dev/videoN, or the path of a recording; never with a password in it."""
    transport: Literal["tcp", "udp"] = "tcp"
    credentials_file: str | None = None
    """File with ``user:password`` on one line."""
    pace: Literal["own", "every-frame"] = "own"
    """Recordings only: at their own speed, or as fast as every frame can be analysed."""
    loop: bool = False
    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 5.0
    frozen_after_s: Seconds = 3.0
    """Identical pictures for so long mean a frozen camera."""


class Device(Section, frozen=True, kw_only=True):
    """One Modbus device: a unit address on a network address or a serial line."""

    id: Ident
    profile: Ident
    transport: Literal["tcp", "tls", "rtu_tcp", "rtu"] = "tcp"
    host: str | None = None
    """For all transports but the serial line."""
    port: Port | None = None
    """The profile's by default; 802 for tls."""
    serial: str | None = None
    """The serial line, such as /dev/ttyUSB0, for ``transport = "rtu"``."""
    baud: Annotated[int, Meta(ge=1200, le=115200)] | None = None
    """The profile's by default."""
    parity: Literal["none", "even", "odd"] = "none"
    ca_file: str | None = None
    """For tls: who signed the device's certificate …"""
    certificate_file: str | None = None
    """… and the gateway's own certificate …"""
    key_file: str | None = None
    """… with its key."""
    server_name: str | None = None
    """For tls: the name in the device's certificate, where that is not ``host``."""
    unit: Annotated[int, Meta(ge=1, le=247)] | None = None
    """The profile's by default."""
    timeout_s: Annotated[float, Meta(ge=0.05, le=5)] = 0.5
    spare_channel: Number | None = None
    """A relay that nothing is wired to: it proves the device's watchdog."""
    unsafe_pulse: str | None = None
    """Only for a device that keeps its outputs ON when the gateway dies; see UNSAFE_PULSE."""


class AccessPoint(Section, frozen=True, kw_only=True):
    """One direction at a door or turnstile, with the camera that looks at who comes."""

    id: Ident
    name: str
    camera: Ident
    door: Ident
    """A door's or a turnstile's id."""
    direction: Literal["in", "out"] = "in"
    liveness: Literal["required", "off"] = "required"


class Vision(Section, frozen=True, kw_only=True):
    """The vision workers."""

    workers: Annotated[int, Meta(ge=0, le=64)] = 0
    """0: about one a core, no more than cameras."""
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    """Inference threads a worker; 0: cores divided by workers."""
    detect_px: Annotated[int, Meta(ge=160, le=1920)] = 640
    """Long side of the picture the detector sees."""
    max_memory_mb: Annotated[int, Meta(ge=256)] = 1500


class Recognition(Section, frozen=True, kw_only=True):
    """Open-set identification."""

    false_positive_target: Annotated[float, Meta(gt=0, le=0.1)] = 0.001
    """Tolerated share of strangers' looks that match anyone at all (FPIR)."""
    margin: Annotated[float, Meta(ge=0, le=1)] = 0.05
    agree: Annotated[int, Meta(ge=2, le=10)] = 3
    """k: samples of one track that must agree; one frame alone never opens a door."""
    of: Annotated[int, Meta(ge=2, le=10)] = 5
    """n: samples a track may use."""
    min_eye_distance_px: Annotated[float, Meta(ge=16, le=400)] = 30.0
    evidence_max_age_s: Annotated[float, Meta(gt=0, le=5)] = 1.0
    grant_ttl_s: Annotated[float, Meta(gt=0, le=1.5)] = 1.5
    roster_max_age_s: Annotated[float, Meta(gt=0)] = 86400.0


class Roster(Section, frozen=True, kw_only=True):
    """The sealed copy of the roster, for a start without the database."""

    max_age_hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0
    """For so long after the database last confirmed it the copy counts; 0 keeps none. Nor does it ever count
    longer than ``recognition.roster_max_age_s``."""


class Enrolment(Section, frozen=True, kw_only=True):
    """How people are enrolled."""

    keep_photographs: bool = False
    """Keep the photographs, sealed, so that a new model needs no new appointments."""
    camera_seconds: Annotated[float, Meta(ge=1, le=15)] = 4.0
    """How long a door camera is looked at for an enrolment."""


Days = Annotated[int, Meta(ge=1, le=36_500)]
Words = Annotated[str, Meta(min_length=1, max_length=500)]


class Privacy(Section, frozen=True, kw_only=True):
    """How long people's data is kept, and what only the controller knows about it."""

    consent_valid_days: Days | None = None
    """A consent ends so long after it was given; None: when it is withdrawn."""
    erase_left_after_days: Days | None = None
    """Who has left is erased after so long; None: when somebody does it."""
    unused_template_days: Days | None = None
    """Templates that opened no door for so long are destroyed, with the photographs they came from."""
    photographs_days: Days | None = None
    """Kept photographs are destroyed after so long; their templates stay."""
    receipts_days: Days | None = None
    """Receipts of erasures are kept for so long; None: for good."""
    controller: Words | None = None
    """Who decides about the processing (GDPR art. 4(7)): name and address, for the processing record."""
    contact: Words | None = None
    """Whom people can ask."""
    data_protection_officer: Words | None = None
    purpose: Words | None = None
    """Why access is controlled here at all."""
    legal_basis: Words | None = None
    """For what needs no consent: staff data, cards, the record of accesses."""
    recipients: tuple[Words, ...] = ()
    """Outside the organisation; an empty list is reported as none stated."""
    transfers: Words | None = None
    """To which countries outside the EU, and under which safeguards (GDPR art. 30(1)(e))."""


class Metrics(Section, frozen=True, kw_only=True):
    """Where Prometheus may read how the gateway is."""

    host: str = "127.0.0.1"
    port: Port = 9464


class Oidc(Section, frozen=True, kw_only=True):
    """Signing in at the organisation's identity provider (OpenID Connect)."""

    issuer: Annotated[str, Meta(pattern=r"^https://|^http://(localhost|127\.0\.0\.1)[:/]")]
    """To the letter as the provider calls itself, such as https://login.example.org/tenant/v2.0."""
    client_id: str
    client_secret_file: str | None = None
    """None for a public client."""
    redirect_uri: str
    """Ends in /api/v1/session/oidc/callback; registered at the provider."""
    role_claim: str = "groups"
    roles: dict[str, Literal["hr", "guard", "auditor", "operator", "administrator"]]
    """Values of the claim, and the role each stands for. Who has none of them is not let in."""


class Api(Section, frozen=True, kw_only=True):
    """Where HR, guards and other systems call."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8443
    """0: any that is free, for tests and rehearsals."""
    certificate_file: str | None = None
    """PEM, with those in between; needed for everything but loopback …"""
    key_file: str | None = None
    """… with its key."""
    requests_per_s: Annotated[float, Meta(gt=0, le=10_000)] = 50.0
    """Of one caller, in the long run; ``burst`` at once."""
    burst: Annotated[int, Meta(ge=1, le=100_000)] = 200
    session_idle_minutes: Annotated[float, Meta(gt=0, le=1440)] = 30.0
    oidc: Oidc | None = None
    session_hours: Annotated[float, Meta(gt=0, le=720)] = 12.0
