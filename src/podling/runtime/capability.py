"""Which capabilities a container gets. Pure. Source: capabilities(7); the default set is Docker's."""

from collections.abc import Iterable, Sequence

from podling.base.errors import InvalidInput
from podling.linux import capabilities
from podling.runtime.types import Security

_DOCKER = """
CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE
"""
ALL = tuple(f"CAP_{name}" for name in capabilities.NAMES)
DEFAULT = tuple(f"CAP_{name}" for name in _DOCKER.split())


def effective(security: Security, default: Sequence[str], available: Iterable[str]) -> list[str]:
    """What the container holds, in kernel order; never more than `available`, which the agent itself has.

    Raises InvalidInput for a name that is no capability.
    """
    add, drop = _names(security.cap_add), _names(security.cap_drop)
    names = set(ALL) if security.privileged or "ALL" in add else set() if "ALL" in drop else set(default)
    names |= add
    if not security.privileged:
        names -= drop
    usable = names & set(available)
    return [name for name in ALL if name in usable]


def _names(asked: Iterable[str]) -> set[str]:
    return {_name(word) for word in asked}


def _name(word: str) -> str:
    upper = word.upper()
    if upper in ("ALL", "CAP_ALL"):
        return "ALL"
    name = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if name not in ALL:
        raise InvalidInput(f'invalid capability: unknown capability: "{word}"')
    return name
