"""Where the output of containers goes, by the name that `--log-driver` gives."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from pathlib import Path
from typing import Protocol

from podling.base.errors import InvalidInput
from podling.engine import logfiles
from podling.engine.defaults import size_of
from podling.engine.logs import Ended, Joined, read_log
from podling.engine.types import LogRecord

Options = Mapping[str, str]


class LogDriver(Protocol):
    """One kind of log. `place` is the log's own path. Contract: `podling.testing.log_contract`."""

    name: str

    def check(self, options: Options) -> None:
        """Raises InvalidInput for options that it does not know or that make no sense."""

    def size(self, options: Options) -> int | None:
        """How many bytes the runtime writes into one file at `place`, 0 for no bound; None where it shall write none."""

    async def keep(self, place: Path, options: Options) -> None:
        """Look after the log of a running container, until cancelled."""

    def read(
        self,
        place: Path,
        streams: Collection[str],
        *,
        since: float | None = None,
        until: float | None = None,
        tail: int | None = None,
        ended: Ended | None = None,
        joined: Joined = "",
    ) -> AsyncGenerator[LogRecord, None]:
        """As `podling.engine.logs.read_log`. Raises InvalidInput where nothing is kept."""


class FileLog:
    """Files that are begun anew when they are full, of which the last few stay. Both of Docker's own kinds are this one."""

    _OPTIONS = frozenset({"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"})

    def __init__(self, name: str, *, size: str = "", most: int = 1) -> None:
        self.name = name
        self._size = size
        self._most = most

    def check(self, options: Options) -> None:
        for option in options:
            if option not in self._OPTIONS:
                raise InvalidInput(f"unknown log opt '{option}' for {self.name} log driver")
        size, most = self.size(options), self._files(options)
        if most < 1:
            raise InvalidInput("max-file cannot be less than 1")
        if options.get("compress") == "true" and self.name == "json-file" and (most < 2 or not size):
            raise InvalidInput("compress cannot be true when max-file is less than 2 or max-size is not set")

    def size(self, options: Options) -> int:
        return size_of(options.get("max-size", self._size))

    def _files(self, options: Options) -> int:
        text = options.get("max-file", str(self._most))
        if not text.removeprefix("-").isdecimal():
            raise InvalidInput(f"invalid max-file: '{text}'")
        return int(text)

    async def keep(self, place: Path, options: Options) -> None:
        if self.size(options) and (most := self._files(options)) > 1:
            await logfiles.keep(place, most)

    def read(
        self,
        place: Path,
        streams: Collection[str],
        *,
        since: float | None = None,
        until: float | None = None,
        tail: int | None = None,
        ended: Ended | None = None,
        joined: Joined = "",
    ) -> AsyncGenerator[LogRecord, None]:
        return read_log(place, streams, since=since, until=until, tail=tail, ended=ended, joined=joined)


class NoLog:
    """Output is for those who are attached, and then gone."""

    name = "none"

    def check(self, options: Options) -> None:
        """Docker heeds none of them."""

    def size(self, options: Options) -> None:
        return None

    async def keep(self, place: Path, options: Options) -> None:
        await asyncio.sleep(0)

    def read(
        self,
        place: Path,
        streams: Collection[str],
        *,
        since: float | None = None,
        until: float | None = None,
        tail: int | None = None,
        ended: Ended | None = None,
        joined: Joined = "",
    ) -> AsyncGenerator[LogRecord, None]:
        raise InvalidInput("configured logging driver does not support reading")


DEFAULT = "json-file"
_DRIVERS: tuple[LogDriver, ...] = (FileLog(DEFAULT), FileLog("local", size="20m", most=5), NoLog())


def find(name: str) -> LogDriver:
    """The driver called `name`; empty: the default. Raises InvalidInput."""
    for driver in _DRIVERS:
        if driver.name == (name or DEFAULT):
            return driver
    raise InvalidInput(f"logger: no log driver named '{name}' is registered")
