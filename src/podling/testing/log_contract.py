"""What every log driver that keeps something keeps. Subclass it and give `driver`."""

import asyncio
from pathlib import Path

import pytest

from podling.aio.tasks import Tasks
from podling.base.errors import InvalidInput
from podling.engine.logdriver import LogDriver

_BOTH = ("stdout", "stderr")


class Writer:
    """A log as conmon writes it: a file that would grow beyond `size` gives way to a new one of its name."""

    def __init__(self, place: Path, size: int) -> None:
        self._place = place
        self._size = size
        self._count = 0
        place.touch()

    def write(self, text: str, stream: str = "stdout") -> None:
        self._count += 1
        line = f"1970-01-01T00:{self._count // 60:02}:{self._count % 60:02}.000000000+00:00 {stream} F {text}\n"
        if self._size and self._place.stat().st_size + len(line) > self._size:
            fresh = self._place.with_name(f"{self._place.name}.tmp")
            fresh.touch()
            fresh.replace(self._place)
        with self._place.open("a") as file:
            file.write(line)


def _size(directory: Path) -> int:
    """Bytes of all files, each counted once."""
    found = {status.st_ino: status.st_size for path in directory.iterdir() for status in [path.stat()]}
    return sum(found.values())


class LogDriverContract:
    """Tests of `podling.engine.logdriver.LogDriver`; a subclass has a fixture `driver`."""

    async def read(self, driver: LogDriver, place: Path, **options: object) -> list[str]:
        records = driver.read(place, _BOTH, **options)  # type: ignore[arg-type]
        return [record.data.decode().strip() async for record in records]

    def test_options_are_checked(self, driver: LogDriver) -> None:
        driver.check({})
        driver.check({"max-size": "10m", "max-file": "3", "tag": "x"})
        for options in ({"nosuch": "1"}, {"max-size": "much"}, {"max-file": "0"}, {"max-file": "x"}):
            with pytest.raises(InvalidInput):
                driver.check(options)

    async def test_what_is_written_can_be_read(self, driver: LogDriver, tmp_path: Path) -> None:
        place = tmp_path / "log"
        assert await self.read(driver, place) == []
        writer = Writer(place, driver.size({}) or 0)
        writer.write("one")
        writer.write("two", "stderr")
        assert await self.read(driver, place) == ["one", "two"]
        assert await self.read(driver, place, tail=1) == ["two"]
        assert [record.data async for record in driver.read(place, ("stderr",))] == [b"two\n"]

    async def test_the_last_files_stay(self, driver: LogDriver, tmp_path: Path) -> None:
        """Three files of five lines each, and lines of all of them in order."""
        place, options = tmp_path / "log", {"max-size": "250", "max-file": "3"}
        size = driver.size(options)
        assert size == 250
        async with Tasks("keep") as tasks:
            keeping = tasks.start(driver.keep(place, options), "keep")
            await asyncio.sleep(0)
            writer = Writer(place, size)
            for number in range(100, 142):
                writer.write(str(number))
                await asyncio.sleep(0.002)
            lines = await self.read(driver, place)
            assert lines == [str(number) for number in range(142 - len(lines), 142)]
            assert 8 <= len(lines) <= 15
            assert await self.read(driver, place, tail=7) == lines[-7:]
            assert await self.read(driver, place, since=int(lines[-3]) - 99) == lines[-3:]
            keeping.cancel()
        assert _size(tmp_path) <= 3 * 250

    async def test_following_goes_on_in_the_next_file(self, driver: LogDriver, tmp_path: Path) -> None:
        place, options = tmp_path / "log", {"max-size": "250", "max-file": "3"}
        over = asyncio.Event()

        async def ended() -> None:
            await over.wait()

        async with Tasks("keep") as tasks:
            keeping = tasks.start(driver.keep(place, options), "keep")
            following = tasks.start(self.read(driver, place, ended=ended), "follow")
            await asyncio.sleep(0)
            writer = Writer(place, 250)
            for number in range(40):
                writer.write(f"line {number:03}")
                await asyncio.sleep(0.002)
            over.set()
            assert await following == [f"line {number:03}" for number in range(40)]
            keeping.cancel()
