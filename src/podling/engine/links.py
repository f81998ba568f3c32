"""Legacy links: another container's address under an alias, its ports and environment as variables. Pure.

Source: docker run --link.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podling.base.errors import InvalidInput

_NOT_PASSED_ON = ("HOME", "PATH")


@dataclass(frozen=True, slots=True)
class Linked:
    """The container at the other end. `ports` as 80/tcp, `env` as NAME=VALUE."""

    alias: str
    name: str
    hostname: str
    address: str
    ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


def parse(text: str) -> tuple[str, str]:
    """`NAME`, `NAME:ALIAS`, or as an inspected container has it, `/NAME:/OWN/ALIAS`: name and alias. Raises InvalidInput."""
    name, _, alias = text.partition(":")
    if not text or not name.strip("/"):
        raise InvalidInput("empty string specified for links" if not text else f"bad format for links: {text}")
    if ":" in alias:
        raise InvalidInput(f"bad format for links: {text}")
    name = name.removeprefix("/")
    return name, alias.rpartition("/")[2] or name


def hosts_entry(linked: Linked) -> tuple[str, str]:
    """What is written to /etc/hosts: address and names."""
    return linked.address, " ".join(dict.fromkeys((linked.alias, linked.hostname, linked.name)))


def environment(own_name: str, linked: Linked) -> Iterator[str]:
    """NAME=VALUE for the container called `own_name`."""
    prefix = linked.alias.upper().replace("-", "_")
    yield f"{prefix}_NAME=/{own_name}/{linked.alias}"
    ports = sorted(_ports(linked.ports))
    for number, protocol in ports[:1]:
        yield f"{prefix}_PORT={protocol}://{linked.address}:{number}"
    for number, protocol in ports:
        base = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{base}={protocol}://{linked.address}:{number}"
        yield f"{base}_ADDR={linked.address}"
        yield f"{base}_PORT={number}"
        yield f"{base}_PROTO={protocol}"
    for word in linked.env:
        if word.partition("=")[0] not in _NOT_PASSED_ON:
            yield f"{prefix}_ENV_{word}"


def _ports(words: Iterable[str]) -> set[tuple[int, str]]:
    split = (word.partition("/") for word in words)
    return {(int(number), protocol or "tcp") for number, _, protocol in split if number.isdecimal()}
