"""The functions that Kubernetes adds to CEL: quantities, URLs, addresses, versions, formats, and those of lists and strings.

Values of types that CEL itself doesn't have are maps with one member, whose name is the type: the evaluator hands plain values to
functions and takes plain values from them. Functions raise ValueError with upstream's words.

Source: Kubernetes documentation "Common Expression Language in Kubernetes", "CEL options, language features, and libraries".
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

from podling.api.custom import formats
from podling.base import quantity as quantities

Function = Callable[..., Any]

QUANTITY, URL, IP, CIDR, SEMVER = "kubernetes.Quantity", "kubernetes.URL", "net.IP", "net.CIDR", "kubernetes.Semver"


def _is(parse: Function) -> Function:
    """Whether something can be parsed."""

    def check(*arguments: Any) -> bool:
        try:
            parse(*arguments)
        except (ValueError, TypeError):
            return False
        return True

    return check


def _value(of: Any, kind: str) -> Any:
    """What a value of ours holds. Raises ValueError for one of another type."""
    if isinstance(of, dict) and kind in of:
        return of[kind]
    raise ValueError("no such overload")


# quantities: a text of nanos, which may be more than an integer of CEL's holds


def quantity(text: str) -> dict[str, str]:
    return {QUANTITY: str(quantities.parse(text).nanos)}


def _nanos(of: Any) -> int:
    return of * quantities.NANO if isinstance(of, int) else int(_value(of, QUANTITY))


def _as_integer(of: Any) -> int:
    whole, rest = divmod(_nanos(of), quantities.NANO)
    if rest or not -(1 << 63) <= whole < 1 << 63:
        raise ValueError("cannot convert value to integer")
    return whole


# versions


_semver = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
).fullmatch


def semver(text: str, normalize: bool = False) -> dict[str, str]:
    """With `normalize` a `v` before, leading zeros and missing parts are put right."""
    if normalize:
        numbers, mark, rest = text.removeprefix("v").partition("-")
        parts = [part.lstrip("0") or "0" for part in numbers.split(".")]
        text = ".".join(parts + ["0"] * (3 - len(parts))) + mark + rest
    if _semver(text) is None:
        raise ValueError("Invalid semantic version")
    return {SEMVER: text}


def _precedence(of: Any) -> tuple[Any, ...]:
    """What orders versions (semver.org, item 11)."""
    found = _semver(_value(of, SEMVER))
    assert found is not None
    before = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in (found[4] or "").split("."))
    return int(found[1]), int(found[2]), int(found[3]), found[4] is None, before


def _part(index: int) -> Function:
    return lambda of: _precedence(of)[index]


def _ordered(of: Any) -> Any:
    return _precedence(of) if isinstance(of, dict) and SEMVER in of else _nanos(of)


def _compare(one: Any, other: Any) -> int:
    left, right = _ordered(one), _ordered(other)
    return int(left > right) - int(left < right)


# URLs


def url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    if not text.startswith("/") and not (parts.scheme and (parts.netloc or parts.path)):
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    _ = parts.port  # raises for one that is none
    return {URL: text}


def _part_of_url(read: Callable[[Any], Any]) -> Function:
    return lambda of: read(urlsplit(_value(of, URL)))


def _hostname(parts: Any) -> str:
    return parts.hostname or ""


# addresses


def _address(text: str) -> Any:
    parsed = ip_address(text)
    if "%" in text:
        raise ValueError(f"IP address '{text}' with zone value is not allowed")
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address '{text}' is not allowed")
    return parsed


def ip(of: Any) -> dict[str, str]:
    """The address that a text writes, or that of a range."""
    if isinstance(of, dict):
        return {IP: _value(of, CIDR).partition("/")[0]}
    return {IP: str(_address(of))}


def _of_ip(read: Callable[[Any], Any]) -> Function:
    return lambda of: read(ip_address(_value(of, IP)))


def _is_canonical(*arguments: Any) -> bool:
    """`ip.isCanonical(text)`: whether it is the way to write that address."""
    text = arguments[-1]
    return bool(str(_address(text)) == text)


def cidr(text: str) -> dict[str, str]:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isdecimal():
        raise ValueError(f"network address parse error during conversion from string: invalid CIDR address: {text}")
    _address(address)
    _network(text)
    return {CIDR: f"{ip_address(address)}/{int(bits)}"}


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def _contains_ip(of: Any, what: Any) -> bool:
    address = ip_address(what if isinstance(what, str) else _value(what, IP))
    return address in _network(_value(of, CIDR))


def _contains_cidr(of: Any, what: Any) -> bool:
    outer, inner = _network(_value(of, CIDR)), _network(what if isinstance(what, str) else _value(what, CIDR))
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _family(of: Any) -> int:
    return int(ip_address(_value(of, IP)).version)


# lists and strings


def _index_of(where: Any, what: Any, start: int = 0) -> int:
    if isinstance(where, str):
        return where.find(what, start)
    return where.index(what, start) if what in where[start:] else -1


def _last_index_of(where: Any, what: Any) -> int:
    if isinstance(where, str):
        return where.rfind(what)
    return len(where) - 1 - where[::-1].index(what) if what in where else -1


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [each.group() for each in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _text(value: Any) -> str:
    """As `string(value)` writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


_verb = re.compile(r"%(?:\.(\d+))?([sdfexXobB%])")


def _format(text: str, values: list[Any]) -> str:
    """`"%s is %.2f".format([name, number])`"""
    left = iter(values)

    def shown(found: re.Match[str]) -> str:
        if found[2] == "%":
            return "%"
        value = next(left)
        if found[2] == "s":
            return _text(value)
        if found[2] in "fe":
            return format(value, f".{found[1] or 6}{found[2]}")
        return format(value, found[2])

    try:
        return _verb.sub(shown, text)
    except StopIteration:
        raise ValueError("index out of range") from None


FUNCTIONS: dict[str, Function] = {
    "quantity": quantity,
    "isQuantity": _is(quantity),
    "sign": lambda of: (_nanos(of) > 0) - (_nanos(of) < 0),
    "isInteger": _is(_as_integer),
    "asInteger": _as_integer,
    "asApproximateFloat": lambda of: _nanos(of) / quantities.NANO,
    "add": lambda one, other: {QUANTITY: str(_nanos(one) + _nanos(other))},
    "sub": lambda one, other: {QUANTITY: str(_nanos(one) - _nanos(other))},
    "semver": semver,
    "isSemver": _is(semver),
    "major": _part(0),
    "minor": _part(1),
    "patch": _part(2),
    "isLessThan": lambda one, other: _compare(one, other) < 0,
    "isGreaterThan": lambda one, other: _compare(one, other) > 0,
    "compareTo": _compare,
    "url": url,
    "isURL": _is(url),
    "getScheme": _part_of_url(lambda parts: parts.scheme),
    "getHost": _part_of_url(lambda parts: parts.netloc.rpartition("@")[2]),
    "getHostname": _part_of_url(_hostname),
    "getPort": _part_of_url(lambda parts: "" if parts.port is None else str(parts.port)),
    "getEscapedPath": _part_of_url(lambda parts: parts.path),
    "getQuery": _part_of_url(lambda parts: parse_qs(parts.query, keep_blank_values=True)),
    "ip": ip,
    "isIP": _is(_address),
    "isCanonical": _is_canonical,
    "family": _family,
    "isUnspecified": _of_ip(lambda address: address.is_unspecified),
    "isLoopback": _of_ip(lambda address: address.is_loopback),
    "isLinkLocalMulticast": _of_ip(
        lambda address: address in (ip_network("224.0.0.0/24") if address.version == 4 else ip_network("ff02::/16"))
    ),
    "isLinkLocalUnicast": _of_ip(lambda address: address.is_link_local),
    "isGlobalUnicast": _of_ip(
        lambda address: (
            not (
                address.is_unspecified
                or address.is_loopback
                or address.is_multicast
                or address.is_link_local
                or str(address) == "255.255.255.255"
            )
        )
    ),
    "cidr": cidr,
    "isCIDR": _is(cidr),
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "masked": lambda of: {CIDR: str(_network(_value(of, CIDR)))},
    "prefixLength": lambda of: _network(_value(of, CIDR)).prefixlen,
    "isSorted": lambda items: items == sorted(items),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    **formats.FUNCTIONS,
}
VARIABLES: dict[str, Any] = {"ip": {}, "format": {}}
"""What stands before the dot in `ip.isCanonical(...)` and `format.dns1123Label()`."""
