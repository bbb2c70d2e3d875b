"""Mutual TLS for Modbus/TCP Security: contexts from files, and its failures in words one can act on."""

import ssl
import stat
from pathlib import Path

from drivers.modbus.transport import Tls
from gateway.domain.errors import ConfigError

_EXPIRED, _NOT_YET, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64
_OWN = "{device} refuses the gateway's certificate {certificate}"
_REFUSALS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": f"{_OWN}: it says that none was given",
    "TLSV1_ALERT_UNKNOWN_CA": f"{_OWN}: it does not know who signed it; give the device that CA",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_OWN}: it has expired; renew it",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{_OWN}: it was revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": f"{_OWN}: it cannot be verified",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": f"{_OWN}: it cannot be verified",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": f"{_OWN}: it is of a kind the device does not take",
    "TLSV1_ALERT_ACCESS_DENIED": f"{_OWN}: access denied; check its role and the device's list",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": f"{_OWN}, or shares no cipher with it",
    "TLSV1_ALERT_PROTOCOL_VERSION": "{device} speaks only TLS older than 1.2, which is refused; update it",
    "UNSUPPORTED_PROTOCOL": "{device} speaks only TLS older than 1.2, which is refused; update it",
    "WRONG_VERSION_NUMBER": "{device} does not speak TLS on this port; plain Modbus is never used instead",
    "RECORD_LAYER_FAILURE": "{device} does not speak TLS on this port; plain Modbus is never used instead",
}
_DISTRUST = {
    _EXPIRED: "the device's certificate has expired, or this machine's clock is wrong; renew it",
    _NOT_YET: "the device's certificate is not valid yet; check this machine's clock",
    _WRONG_NAME: "the device's certificate is for another name than {name}; set server_name to the one in it",
    _WRONG_ADDRESS: "the device's certificate does not name {name}; set server_name to what it names",
}


def server_name(to: Tls) -> str:
    """What the device's certificate must say."""
    return to.server_name or to.host


def client_context(to: Tls) -> ssl.SSLContext:
    """TLS 1.2 or newer, the device's certificate and name checked, our own given.

    Raises ConfigError naming the file. Read anew for every connection, so that a renewed certificate is used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate, and checks the name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (to.ca_file, to.certificate_file, to.key_file):
        _check_readable(path, to, secret=path is to.key_file)
    try:
        context.load_verify_locations(cafile=to.ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"{to.endpoint}: {to.ca_file}: holds no PEM certificate: {error.reason}") from error
    try:
        context.load_cert_chain(
            to.certificate_file, to.key_file, password=""
        )  # a pass phrase is never asked for
    except ssl.SSLError as error:
        raise ConfigError(
            f"{to.endpoint}: {to.certificate_file} and {to.key_file}: not a PEM certificate and its own key "
            f"without a pass phrase: {error.reason or error}"
        ) from error
    return context


def explain(error: BaseException, to: Tls) -> str:
    """Why there is no link, for who has to mend it."""
    words = {"device": to.endpoint, "certificate": str(to.certificate_file), "name": server_name(to)}
    if isinstance(error, ssl.SSLCertVerificationError):
        text = _DISTRUST.get(error.verify_code)
        said = f"{error.verify_message}; not signed by anyone in {to.ca_file}"
        return text.format(**words) if text else f"the device's certificate is not trusted: {said}"
    if isinstance(error, ssl.SSLError) and error.reason in _REFUSALS:
        return _REFUSALS[error.reason].format(**words)
    return str(error) or type(error).__name__


def ended_early(to: Tls) -> str:
    """A link that ends after the handshake, before any reply: devices refuse a certificate like this too."""
    return (
        f"{to.endpoint} ended the link after the TLS handshake without a reply; "
        f"it may not accept the certificate {to.certificate_file}"
    )


def _check_readable(path: Path, to: Tls, *, secret: bool) -> None:
    where = f"{to.endpoint}: {path}"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{where}: is not a file")
        if secret and mode & stat.S_IRWXO:
            raise ConfigError(f"{where}: every user of this machine may read or change it; chmod 600 it")
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise ConfigError(f"{where}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror}); let this user read it") from None
