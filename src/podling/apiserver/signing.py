"""What each of Kubernetes' own signers signs, and how. Source: Kubernetes documentation "Kubernetes signers"."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podling.aio.clock import Clock
from podling.apiserver.pki import Authority

NODES, NODE_PREFIX = "system:nodes", "system:node:"
DAY = 24 * 3600.0
LONGEST = 365 * DAY
_KEYS = {"digital signature", "key encipherment"}
_EXTENDED = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}
# member of x509.KeyUsage -> usages that ask for it
_USAGE = {
    "digital_signature": {"signing", "digital signature"},
    "content_commitment": {"content commitment"},
    "key_encipherment": {"key encipherment"},
    "data_encipherment": {"data encipherment"},
    "key_agreement": {"key agreement"},
    "key_cert_sign": {"cert sign"},
    "crl_sign": {"crl sign"},
}


@dataclass(frozen=True, slots=True)
class Signer:
    """What a request has to be like. `usages` is all that it may ask for, `needs` what it must; None for anything."""

    usages: Collection[str] | None
    needs: Collection[str] = ()
    of_node: bool = False
    names: bool | None = None  # whether it has alternative names


SIGNERS: Mapping[str, Signer] = {
    "kube-apiserver-client": Signer(_KEYS | {"client auth"}, ("client auth",)),
    "kube-apiserver-client-kubelet": Signer(_KEYS | {"client auth"}, ("client auth", "digital signature"), True, False),
    "kubelet-serving": Signer(_KEYS | {"server auth"}, ("server auth", "digital signature"), True, True),
    "legacy-unknown": Signer(None),
}


def subject_of(pem: bytes) -> tuple[str, list[str]]:
    """Common name and organizations of a request. Raises ValueError."""
    subject = x509.load_pem_x509_csr(pem).subject
    names, organizations = (
        [str(each.value) for each in subject.get_attributes_for_oid(oid)]
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    )
    return (names[0] if names else ""), organizations


class ClusterSigner:
    """Signs requests with the cluster's authority."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock

    def __call__(self, pem: bytes, signer: str, usages: Sequence[str], seconds: float | None) -> bytes:
        """The certificate in PEM. Raises ValueError for what the signer doesn't sign."""
        request = x509.load_pem_x509_csr(pem)
        check(request, signer, usages)
        lifetime = min(seconds or LONGEST, LONGEST)
        certificate = self._authority.sign(request, self._clock.now(), lifetime, *extensions(request, usages))
        return certificate.public_bytes(serialization.Encoding.PEM)


def check(request: x509.CertificateSigningRequest, name: str, usages: Sequence[str]) -> None:
    """Raises ValueError, in upstream's words."""
    signer = SIGNERS.get(name)
    if signer is None:
        raise ValueError(f"unrecognized signer kubernetes.io/{name}")
    if not request.is_signature_valid:
        raise ValueError("unable to verify certificate request signature")
    if signer.usages is not None and not set(signer.needs) <= set(usages) <= set(signer.usages):
        raise ValueError(f"usages did not match {sorted(signer.usages)}")
    if signer.of_node:
        _check_node(request, signer)


def _check_node(request: x509.CertificateSigningRequest, signer: Signer) -> None:
    name, organizations = subject_of(request.public_bytes(serialization.Encoding.PEM))
    if organizations != [NODES]:
        raise ValueError(f"organization in CSR is not {NODES}")
    if not name.startswith(NODE_PREFIX):
        raise ValueError(f"subject common name does not begin with {NODE_PREFIX}")
    found = _names(request)
    if any(isinstance(each, x509.RFC822Name | x509.UniformResourceIdentifier) for each in found):
        raise ValueError("email and URI subject alternative names are not allowed")
    if signer.names is False and found:
        raise ValueError("DNS and IP subject alternative names are not allowed")
    if signer.names and not found:
        raise ValueError("DNS or IP subjectAltName is required")


def _names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def extensions(request: x509.CertificateSigningRequest, usages: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    """(extension, critical) of the certificate."""
    wanted = set(usages)
    key = {member: bool(asked & wanted) for member, asked in _USAGE.items()}
    found: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    if any(key.values()):  # RFC 5280 section 4.2.1.3: at least one, or none of it
        found.append((x509.KeyUsage(**key, encipher_only=False, decipher_only=False), True))
    if extended := [_EXTENDED[usage] for usage in usages if usage in _EXTENDED]:
        found.append((x509.ExtendedKeyUsage(extended), False))
    if names := _names(request):
        found.append((x509.SubjectAlternativeName(names), False))
    return found
