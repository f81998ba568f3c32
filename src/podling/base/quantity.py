"""Kubernetes quantities: `500m`, `1Gi`, `2e3`. Exact, in whole nano units.

Source: k8s.io/apimachinery api/resource "Quantity" (grammar, canonical form, rounding up to 1n, the cap of 2^63-1).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Format = Literal["BinarySI", "DecimalSI", "DecimalExponent"]

NANO = 10**9  # nano units in one
_LIMIT = (2**63 - 1) * NANO

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,4})?")

WORDS = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class QuantityError(ValueError):
    """The text is no quantity."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount in nano units, and the family of suffixes that it is written with."""

    nanos: int
    format: Format = "DecimalSI"

    def __str__(self) -> str:
        """The canonical form: no fraction, the largest suffix that loses nothing."""
        if self.format == "BinarySI" and abs(self.nanos) >= 1024 * NANO:
            return _binary(self.nanos)
        return _decimal(self.nanos, exponential=self.format == "DecimalExponent")

    @property
    def milli(self) -> int:
        """In thousandths, rounded up: CPU."""
        return _round_up(self.nanos, 10**6)

    @property
    def whole(self) -> int:
        """In ones, rounded up: bytes, pods."""
        return _round_up(self.nanos, NANO)

    # A sum keeps the format of its first non-zero term.
    def __add__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: "Quantity") -> "Quantity":
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __neg__(self) -> "Quantity":
        return Quantity(-self.nanos, self.format)

    def __mul__(self, times: int) -> "Quantity":
        return Quantity(self.nanos * times, self.format)

    def __lt__(self, other: "Quantity") -> bool:
        return self.nanos < other.nanos

    def __le__(self, other: "Quantity") -> bool:
        return self.nanos <= other.nanos

    def __bool__(self) -> bool:
        return self.nanos != 0


ZERO = Quantity(0)


def _round_up(number: int, unit: int) -> int:
    """Away from zero: whoever asks for a little gets some."""
    return -(-number // unit) if number >= 0 else number // unit


def _binary(nanos: int) -> str:
    number, power = _round_up(nanos, NANO), 0
    while power < len(_BINARY) - 1 and number % 1024 == 0:
        number //= 1024
        power += 1
    return f"{number}{_BINARY[power]}"


def _decimal(nanos: int, *, exponential: bool) -> str:
    if nanos == 0:
        return "0"
    number, exponent = nanos, -9
    while exponent < 18 and number % 1000 == 0:
        number //= 1000
        exponent += 3
    if exponential:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_SUFFIX_OF[exponent]}"


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Quantity:
    """The quantity that `text` writes; JSON numbers are taken too. Raises QuantityError."""
    match = _PARTS.fullmatch(str(text))
    if not match or not (match[2] or match[3]):
        raise QuantityError(WORDS)
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4] or ""
    nanos = _scaled(int(whole + fraction or "0"), -len(fraction), suffix)
    return Quantity(-min(nanos, _LIMIT) if sign == "-" else min(nanos, _LIMIT), _format_of(suffix))


def _format_of(suffix: str) -> Format:
    if suffix.endswith("i"):
        return "BinarySI"
    return "DecimalExponent" if suffix not in _DECIMAL else "DecimalSI"


def _scaled(digits: int, exponent: int, suffix: str) -> int:
    if suffix.endswith("i"):
        digits *= 1024 ** _BINARY.index(suffix)
    else:
        exponent += _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    exponent += 9
    return digits * 10**exponent if exponent >= 0 else _round_up(digits, 10**-exponent)


def canonical(text: str | int | float) -> str:
    """`text` as the API server writes it back: `1000m` is `1`, `1024Mi` is `1Gi`. Raises QuantityError."""
    return str(parse(text))


def milli(text: str | int | float) -> int:
    """Thousandths: `milli("1.5") == 1500`. Raises QuantityError."""
    return parse(text).milli


def whole(text: str | int | float) -> int:
    """Ones: `whole("1Ki") == 1024`. Raises QuantityError."""
    return parse(text).whole


def of(number: int, form: Format = "DecimalSI") -> Quantity:
    """A quantity of `number` ones."""
    return Quantity(number * NANO, form)
