"""Certificates: an authority on disk, and what it signs. ECDSA P-256; key files are 0600.

Names follow kubeadm's files: `ca.crt`, `ca.key`. Source: RFC 5280; Kubernetes "PKI certificates and requirements".
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podling.base.files import write_atomic

YEAR = 365 * 24 * 3600.0
AUTHORITY_LIFETIME = 10 * YEAR
LEAF_LIFETIME = YEAR
# Clocks of joining machines may be behind ours.
BACKDATE = 300.0


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def expires_at(certificate: bytes) -> float:
    """When a PEM certificate ends, in seconds since the epoch."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def renews_at(certificate: bytes) -> float:
    """When a PEM certificate is to be replaced: two thirds of its life are over. In seconds since the epoch."""
    found = x509.load_pem_x509_certificate(certificate)
    begin, end = found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    return begin + (end - begin) * 2 / 3


def _name(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A certificate authority."""

    def __init__(self, pair: KeyPair) -> None:
        self.pair = pair
        self._certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    @classmethod
    def create(cls, common_name: str, now: float) -> "Authority":
        key = new_key()
        name = _name(common_name)
        builder = (
            _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(certificate_signing=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        certificate = builder.sign(key, hashes.SHA256())
        return cls(KeyPair(certificate.public_bytes(serialization.Encoding.PEM), key_pem(key)))

    @classmethod
    def open(cls, directory: Path, stem: str, common_name: str, now: float) -> "Authority":
        """The authority kept at `directory/stem.crt` and `.key`, made when it isn't there."""
        certificate, key = directory / f"{stem}.crt", directory / f"{stem}.key"
        if certificate.exists() and key.exists():
            return cls(KeyPair(certificate.read_bytes(), key.read_bytes()))
        authority = cls.create(common_name, now)
        _write(directory, stem, authority.pair)
        return authority

    def issue(
        self,
        common_name: str,
        now: float,
        *,
        organizations: Sequence[str] = (),
        names: Sequence[str] = (),
        lifetime: float = LEAF_LIFETIME,
    ) -> KeyPair:
        """A new key and its certificate, good for both sides of TLS.

        `organizations` are the groups of a Kubernetes user; `names` the DNS names and addresses of a server. Times in seconds.
        """
        key = new_key()
        builder = (
            _builder(_name(common_name, organizations), self._certificate.subject, key.public_key(), now, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificate_signing=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), key_pem(key))

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        now: float,
        lifetime: float,
        *extensions: tuple[x509.ExtensionType, bool],
    ) -> x509.Certificate:
        """The certificate of a request, with `(extension, critical)`; it ends with the authority at the latest."""
        lifetime = min(lifetime, self._certificate.not_valid_after_utc.timestamp() - now)
        builder = _builder(request.subject, self._certificate.subject, request.public_key(), now, lifetime)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def leaf(
        self,
        directory: Path,
        stem: str,
        common_name: str,
        now: float,
        *,
        organizations: Sequence[str] = (),
        names: Sequence[str] = (),
    ) -> KeyPair:
        """The pair kept at `directory/stem.crt` and `.key`.

        Made anew when another authority signed it, a name is missing, or two thirds of its life are over.
        """
        certificate, key = directory / f"{stem}.crt", directory / f"{stem}.key"
        if certificate.exists() and key.exists() and self._still_good(certificate.read_bytes(), names, now):
            return KeyPair(certificate.read_bytes(), key.read_bytes())
        pair = self.issue(common_name, now, organizations=organizations, names=names)
        _write(directory, stem, pair)
        return pair

    def _still_good(self, pem: bytes, names: Sequence[str], now: float) -> bool:
        if now >= renews_at(pem):
            return False
        certificate = x509.load_pem_x509_certificate(pem)
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        if not names:
            return True
        covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return all(_alternative(name) in covered for name in names)


def _write(directory: Path, stem: str, pair: KeyPair) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(directory / f"{stem}.key", pair.key, mode=0o600)
    write_atomic(directory / f"{stem}.crt", pair.certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: CertificatePublicKeyTypes, now: float, lifetime: float
) -> x509.CertificateBuilder:
    begin = datetime.fromtimestamp(now - BACKDATE, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(seconds=lifetime + BACKDATE))
    )


def _usage(*, certificate_signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not certificate_signing,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_signing,
        crl_sign=certificate_signing,
        encipher_only=False,
        decipher_only=False,
    )
