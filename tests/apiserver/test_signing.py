"""What the cluster signs: each signer's rules, and the certificate that comes out."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from podling.apiserver.pki import Authority, new_key
from podling.apiserver.signing import ClusterSigner, subject_of
from podling.testing.clock import ManualClock

NODE = ("system:node:n1", ("system:nodes",))
CLIENT = ("digital signature", "client auth")
SERVING = ("digital signature", "key encipherment", "server auth")


def request(name: str = "ann", organizations: Sequence[str] = (), *names: x509.GeneralName) -> bytes:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def signer() -> ClusterSigner:
    clock = ManualClock()
    return ClusterSigner(Authority.create("ca", clock.now()), clock)


def test_a_client_certificate(signer: ClusterSigner) -> None:
    pem = signer(request("ann", ["dev"]), "kube-apiserver-client", CLIENT, 3600)
    made = x509.load_pem_x509_certificate(pem)
    assert made.subject.rfc4514_string() == "CN=ann,O=dev"
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, False, False)
    assert made.not_valid_after_utc.timestamp() == 1_700_003_600


def test_a_serving_certificate_has_the_names(signer: ClusterSigner) -> None:
    pem = signer(request(*NODE, x509.DNSName("n1")), "kubelet-serving", SERVING, None)
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]


@pytest.mark.parametrize(
    ("name", "asked", "usages", "words"),
    [
        ("kube-apiserver-client", request(), ("server auth",), "usages did not match"),
        ("kube-apiserver-client", request(), ("digital signature",), "usages did not match"),
        ("kube-apiserver-client-kubelet", request("system:node:n1"), CLIENT, "organization in CSR is not system:nodes"),
        ("kube-apiserver-client-kubelet", request("n1", ["system:nodes"]), CLIENT, "subject common name does not begin with"),
        ("kube-apiserver-client-kubelet", request(*NODE, x509.DNSName("n1")), CLIENT, "alternative names are not allowed"),
        ("kubelet-serving", request(*NODE), SERVING, "DNS or IP subjectAltName is required"),
        ("kubelet-serving", request(*NODE, x509.RFC822Name("a@b.c")), SERVING, "email and URI"),
        ("mine", request(), CLIENT, "unrecognized signer"),
        ("legacy-unknown", b"nonsense", CLIENT, "PEM"),
    ],
)
def test_refusals(signer: ClusterSigner, name: str, asked: bytes, usages: Sequence[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        signer(asked, name, usages, None)


def test_the_subject() -> None:
    assert subject_of(request("ann", ["dev", "ops"])) == ("ann", ["dev", "ops"])
