"""nftables: rule sets as text through nft(8), elements of sets and maps by netlink.

Tables, chains and rules change seldom: `apply` hands a script to `nft -f -` (4-20 ms), one transaction. What comes and goes with
containers, ports and services are elements: `change` costs 0.1-0.2 ms, does not depend on the size of the rule set, and
is one transaction too.
"""

import errno
import json
from collections.abc import Sequence
from typing import Any, Protocol

from podling.base.errors import Failed
from podling.linux import nftset
from podling.linux.namespace import Namespace, enter
from podling.linux.netlink import NETLINK_NETFILTER, NLM_F_DUMP, Netlink
from podling.linux.nftset import Change, Element
from podling.linux.process import run

_TIMEOUT = 30.0  # seconds
_CHANGES = 2000  # of one transaction, so that it fits into the socket's buffers


class RuleSet(Protocol):
    """nftables of one network namespace."""

    async def apply(self, script: str) -> None:
        """Run a script of nft(8) as one transaction. Raises Failed with nft's message; then nothing has changed."""

    async def show(self, *what: str) -> list[dict[str, Any]]:
        """What `nft -j list WHAT...` shows, for example show("table", "inet", "podling"); [] if there is no such thing."""

    def change(self, family: str, table: str, changes: Sequence[Change]) -> None:
        """Add and remove elements in one transaction (of at most 2000, longer ones are cut).

        An element that is there already with the same value, or to be removed and not there, is no error. Raises OSError
        with the table and set.
        """

    def elements(self, family: str, table: str, name: str) -> list[Element]:
        """The elements of a set or map. Raises FileNotFoundError if there is no such set."""


class Nft:
    """The rule set of a network namespace: of the caller's, or of `namespace`."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace
        self._netlink: Netlink | None = None

    async def apply(self, script: str) -> None:
        await self._nft("-f", "-", stdin=script.encode())

    async def show(self, *what: str) -> list[dict[str, Any]]:
        try:
            done = await self._nft("-j", "list", *what)
        except Failed as error:
            if "No such file or directory" in error.message:
                return []
            raise
        listed: list[dict[str, Any]] = json.loads(done)["nftables"]
        return [item for item in listed if "metainfo" not in item]

    async def _nft(self, *arguments: str, stdin: bytes = b"") -> bytes:
        namespace = self._namespace
        prepare = None if namespace is None else lambda: enter(namespace)
        return (await run(["nft", *arguments], timeout=_TIMEOUT, stdin=stdin, prepare=prepare)).stdout

    def change(self, family: str, table: str, changes: Sequence[Change]) -> None:
        for start in range(0, len(changes), _CHANGES):
            self._transact(family, table, list(changes[start : start + _CHANGES]))

    def _transact(self, family: str, table: str, changes: list[Change]) -> None:
        """Send one batch. A removal of what isn't there undoes the batch, so it goes again without that."""
        while changes:
            about = [f"table {family} {table}", *(f"set {change.set} of table {family} {table}" for change in changes)]
            failures = self._socket().transact(nftset.batch(family, table, changes), [*about, about[0]])
            idle = {position - 1 for position, error in failures.items() if error.errno == errno.ENOENT}
            for position, error in failures.items():
                if position - 1 not in idle or position == 0 or changes[position - 1].add:
                    raise error
            if not failures:
                return
            changes = [change for position, change in enumerate(changes) if position not in idle]

    def elements(self, family: str, table: str, name: str) -> list[Element]:
        body = nftset.listing(family, table, name)
        answers = self._socket().ask(nftset.GET_ELEMENT, body, NLM_F_DUMP, about=f"set {name} of table {family} {table}")
        return [element for answer in answers for element in nftset.parse(answer)]

    def _socket(self) -> Netlink:
        if self._netlink is None:
            self._netlink = Netlink(self._namespace, NETLINK_NETFILTER)
        return self._netlink

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None
