"""Certificates and requests in PEM, as far as the API checks them. Source: RFC 7468, RFC 2986."""

import base64
import re
from collections.abc import Iterator

_BLOCK = re.compile(r"-----BEGIN ([^-]+)-----\s*(.*?)-----END \1-----", re.DOTALL)


class PemError(ValueError):
    """No PEM that we can take, and why."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(label, body) of each block; headers stand in the body."""
    return ((found[1], found[2]) for found in _BLOCK.finditer(text))


def has_headers(body: str) -> bool:
    return ":" in body


def check_request(encoded: str) -> None:
    """The base64 of a PEM certificate request that its own key has signed. Raises PemError."""
    from cryptography import x509  # 90 ms; seldom needed

    try:
        text = base64.b64decode(encoded or "", validate=True)
    except ValueError as error:
        raise PemError(str(error)) from None
    label = next((label for label, _ in blocks(text.decode("latin-1"))), "")
    if label != "CERTIFICATE REQUEST":
        raise PemError("PEM block type must be CERTIFICATE REQUEST")
    try:
        request = x509.load_pem_x509_csr(text)
    except ValueError as error:
        raise PemError(str(error)) from None
    if not request.is_signature_valid:
        raise PemError("x509: signature does not match")


def check_certificate(body: str) -> None:
    """The body of one CERTIFICATE block. Raises PemError."""
    from cryptography import x509

    try:
        x509.load_der_x509_certificate(base64.b64decode("".join(body.split()), validate=True))
    except ValueError as error:
        raise PemError(str(error)) from None


def check_certificates(text: str) -> None:
    """One CERTIFICATE block at least, and nothing else. Raises PemError."""
    found = 0
    for label, body in blocks(text):
        if label != "CERTIFICATE":
            raise PemError(f'only CERTIFICATE PEM blocks are allowed, found "{label}"')
        if has_headers(body):
            raise PemError("no PEM block headers are permitted")
        check_certificate(body)
        found += 1
    if not found:
        raise PemError("must contain at least one CERTIFICATE PEM block")
