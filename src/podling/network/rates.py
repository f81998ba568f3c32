"""Bandwidth as a container's labels ask for it: bits per second as quantities, "10M", "1.5G", "500k"."""

from collections.abc import Mapping

from podling.base import quantity
from podling.base.errors import InvalidInput
from podling.network.base import Rates

EGRESS = "podling.network.egress"
INGRESS = "podling.network.ingress"


def asked(labels: Mapping[str, str]) -> Rates:
    """The rates that labels ask for; unlimited where they don't. Raises InvalidInput, naming the label."""
    return Rates(egress=_bits(labels, EGRESS), ingress=_bits(labels, INGRESS))


def _bits(labels: Mapping[str, str], name: str) -> int:
    text = labels.get(name, "")
    if not text:
        return 0
    try:
        bits = quantity.whole(text)
    except ValueError as error:
        raise InvalidInput(f"invalid label {name}: {error}") from error
    if bits <= 0:
        raise InvalidInput(f"invalid label {name}: {text} is not above zero")
    return bits
