"""Certificates made for one test run: a site's authority, a device, a gateway, and some that are wrong."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    def copy(self, certificate: Path, key: Path) -> None:
        certificate.write_bytes(self.certificate.read_bytes())
        key.touch(mode=0o600)
        key.write_bytes(self.key.read_bytes())

    def locked(self, path: Path, passphrase: bytes) -> Path:
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        path.touch(mode=0o600)
        path.write_bytes(_pem(key, passphrase))
        return path


class Authority:
    def __init__(self, name: str) -> None:
        self.name = _name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build(self.name, self.key, ca=True, days=(-2, 2), host=None)

    def issue(self, folder: Path, name: str, *, host: str | None, days: tuple[int, int] = (-1, 1)) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(_name(name), key, ca=False, days=days, host=host)
        pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(_pem(key))
        return pair

    def _build(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        ca: bool,
        days: tuple[int, int],
        host: str | None,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * _DAY)
            .not_valid_after(now + days[1] * _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


class Files:
    """All of them as files in one folder."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
        stranger = Authority("stranger-ca")
        host = "door.test"
        self.gateway = authority.issue(folder, "gateway", host=None)
        self.pairs = {
            "device": authority.issue(folder, "device", host=host),
            "expired": authority.issue(folder, "expired", host=host, days=(-3, -1)),
            "early": authority.issue(folder, "early", host=host, days=(1, 2)),
            "other_name": authority.issue(folder, "other_name", host="window.test"),
            "expired_gateway": authority.issue(folder, "expired_gateway", host=None, days=(-3, -1)),
            "stranger": stranger.issue(folder, "stranger", host=host),
        }

    def pair(self, name: str) -> Pair:
        return self.pairs[name]
