"""Names of signers: `example.com/my-signer`. Source: pkg/apis/certificates/validation ValidateSignerName."""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError

LONGEST = 571


def validate_name(name: Cursor) -> Iterator[FieldError]:
    text = name.value or ""
    if not text:
        yield name.required()
        return
    domain, slash, path = text.partition("/")
    if not slash or "/" in path:
        yield name.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'")
        return
    if "." not in domain:
        yield name.invalid("should be a domain with at least two segments separated by dots", domain)
    for complaint in names.subdomain(domain):
        yield name.invalid(complaint, domain)
    for complaint in names.subdomain(path):
        yield name.invalid(f'validating label "{path}": {complaint}', path)
    if len(text) > LONGEST:
        yield name.too_long(LONGEST)
