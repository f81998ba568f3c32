"""The named formats of CEL's `format` library: `format.dns1123Label().validate(text)` gives what is wrong, if anything.

Source: Kubernetes documentation "Common Expression Language in Kubernetes", "Kubernetes Format library".
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from podling.api import names, timestamps

Check = Callable[[str], list[str]]

FORMAT = "kubernetes.NamedFormat"
_uuid = re.compile(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}").fullmatch


def _uri(text: str) -> list[str]:
    parts = urlsplit(text)
    good = text.startswith("/") or (parts.scheme and (parts.netloc or parts.path))
    return [] if good else [f'parse "{text}": invalid URI for request']


def _byte(text: str) -> list[str]:
    try:
        b64decode(text, validate=True)
    except binascii.Error:
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    try:
        date.fromisoformat(text)
    except ValueError:
        return ["invalid date"]
    return [] if len(text) == len("2006-01-02") else ["invalid date"]


def _datetime(text: str) -> list[str]:
    try:
        timestamps.parse(text)
    except ValueError:
        return ["invalid datetime"]
    return []


CHECKS: dict[str, Check] = {
    "dns1123Label": names.label,
    "dns1123Subdomain": names.subdomain,
    "dns1035Label": names.label_1035,
    "qualifiedName": names.qualified,
    "dns1123LabelPrefix": names.prefix_of(names.label),
    "dns1123SubdomainPrefix": names.prefix_of(names.subdomain),
    "dns1035LabelPrefix": names.prefix_of(names.label_1035),
    "labelValue": names.label_value,
    "uri": _uri,
    "uuid": lambda text: [] if _uuid(text) else ["does not match the UUID format"],
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}


def _optional() -> Any:
    """The evaluator's type for what may be missing; only called where the evaluator is."""
    from cel import OptionalValue

    return OptionalValue


def _named(*arguments: Any) -> Any:
    """`format.named("dns1123Label")`: optional."""
    name = arguments[-1]
    return _optional().of({FORMAT: name}) if name in CHECKS else _optional().none()


def _validate(of: Any, text: str) -> Any:
    """An optional list of what is wrong; none when nothing is."""
    complaints = CHECKS[of[FORMAT]](text)
    return _optional().of(complaints) if complaints else _optional().none()


def _constructor(name: str) -> Callable[..., Any]:
    return lambda *_: {FORMAT: name}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _constructor(name) for name in CHECKS},
    "named": _named,
    "validate": _validate,
}
