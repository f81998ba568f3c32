"""Names, labels and keys: what Kubernetes accepts, and its words when it doesn't.

Each function gives the list of complaints, empty when the value is good. Source: k8s.io/apimachinery util/validation.
"""

import re
from collections.abc import Callable

Check = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME_PART})?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_is_label = re.compile(_LABEL).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_wildcard = re.compile(_WILDCARD).fullmatch
_is_name_part = re.compile(_NAME_PART).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_printable = re.compile("[ -<>-~]+").fullmatch
_is_header = re.compile("[-A-Za-z0-9]+").fullmatch
_is_port_alphabet = re.compile("[-a-z0-9]*").fullmatch

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_WILDCARD_WORDS = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_NAME_PART_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_ENV_WORDS = "a valid environment variable name must consist only of printable ASCII characters other than '='"


def by_pattern(words: str, pattern: str, *examples: str) -> str:
    """The complaint that a pattern didn't match."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} ({f'e.g. {shown}' if shown else ''}regex used for validation is '{pattern}')"


def too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


EMPTY = "must be non-empty"


def label(value: str) -> list[str]:
    """A DNS-1123 label: namespaces, container names."""
    if len(value) <= 63 and _is_label(value):
        return []
    errors = [too_long(63)] if len(value) > 63 else []
    if _is_subdomain(value) and "." in value:
        errors.append("must not contain dots")
    elif not _is_label(value):
        errors.append(by_pattern(_LABEL_WORDS, _LABEL, "my-name", "123-abc"))
    return errors


def label_1035(value: str) -> list[str]:
    """A DNS-1035 label: it begins with a letter."""
    errors = [too_long(63)] if len(value) > 63 else []
    return errors if _is_label_1035(value) else [*errors, by_pattern(_LABEL_1035_WORDS, _LABEL_1035, "my-name", "abc-123")]


def subdomain(value: str) -> list[str]:
    """A DNS-1123 subdomain: the name of most objects."""
    if len(value) <= 253 and _is_subdomain(value):
        return []
    errors = [too_long(253)] if len(value) > 253 else []
    return errors if _is_subdomain(value) else [*errors, by_pattern(_SUBDOMAIN_WORDS, _SUBDOMAIN, "example.com")]


def wildcard(value: str) -> list[str]:
    """A subdomain whose first label is `*`: the hosts of an Ingress."""
    errors = [too_long(253)] if len(value) > 253 else []
    return errors if _is_wildcard(value) else [*errors, by_pattern(_WILDCARD_WORDS, _WILDCARD, "*.example.com")]


def path_segment(value: str) -> list[str]:
    """A name that only has to fit into a URL: RBAC's objects. Source: k8s.io/apimachinery api/validation/path."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in value]


def qualified(value: str) -> list[str]:
    """`name` or `prefix/name`: label keys, resource names, condition types."""
    if len(value) <= 63 and _is_name_part(value):
        return []
    prefix, slash, name = value.rpartition("/")
    errors = []
    if "/" in prefix:
        pattern = by_pattern(_NAME_PART_WORDS, _NAME_PART, "MyName", "my.name", "123-abc")
        return [f"a valid label key {pattern} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    if slash and not prefix:
        errors.append(f"prefix part {EMPTY}")
    elif slash:
        errors += [f"prefix part {complaint}" for complaint in subdomain(prefix)]
    if not name:
        errors.append(f"name part {EMPTY}")
    elif len(name) > 63:
        errors.append(f"name part {too_long(63, 'bytes')}")
    if not _is_name_part(name):
        errors.append("name part " + by_pattern(_NAME_PART_WORDS, _NAME_PART, "MyName", "my.name", "123-abc"))
    return errors


def label_value(value: str) -> list[str]:
    """The value of a label; it may be empty."""
    if len(value) <= 63 and _is_value(value):
        return []
    errors = [too_long(63, "bytes")] if len(value) > 63 else []
    return errors if _is_value(value) else [*errors, by_pattern(_VALUE_WORDS, _VALUE, "MyValue", "my_value", "12345")]


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret: a file name."""
    errors = [too_long(253)] if len(value) > 253 else []
    if not _is_config_key(value):
        words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        errors.append(by_pattern(words, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        errors.append(f"must not be '{value}'")
    elif value.startswith(".."):
        errors.append("must not start with '..'")
    return errors


def env_name(value: str) -> list[str]:
    """The name of an environment variable."""
    if _is_printable(value):
        return []
    return [_ENV_WORDS] if value else [f"environment variable name {EMPTY}"]


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """An IANA service name: RFC 6335, section 5.1."""
    errors = [too_long(15)] if len(value) > 15 else []
    if not _is_port_alphabet(value):
        errors.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= char <= "z" for char in value):
        errors.append("must contain at least one letter (a-z)")
    if "--" in value:
        errors.append("must not contain consecutive hyphens")
    if value[:1] == "-" or value[-1:] == "-":
        errors.append("must not begin or end with a hyphen")
    return errors


def header(value: str) -> list[str]:
    """The name of an HTTP header."""
    if _is_header(value):
        return []
    return [by_pattern("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")]


def prefix_of(check: Check) -> Check:
    """`check` for a generateName: a hyphen at its end is good, since a suffix follows."""
    return lambda value: check(value[:-1] + "a" if value.endswith("-") else value)
