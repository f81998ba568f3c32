import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.aio.tasks import Tasks
from podling.engine.engine import Engine
from podling.engine.logs import parse_line, parse_time, read_log
from podling.engine.types import LogRecord
from podling.testing.engine import run

BOTH = ("stdout", "stderr")


def line(number: int, text: str = "", tag: str = "F", stream: str = "stdout") -> str:
    """A line of the log, one a second since the epoch."""
    return f"{datetime.fromtimestamp(number, UTC):%Y-%m-%dT%H:%M:%S}.000000000+00:00 {stream} {tag} {text or number}\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "container.log"
    path.write_text("".join(line(number) for number in range(1, 11)))
    return path


async def read(path: Path, **options: object) -> bytes:
    return b"".join([record.data async for record in read_log(path, BOTH, **options)])  # type: ignore[arg-type]


def test_a_line_is_parsed_with_its_nanoseconds() -> None:
    record = parse_line(b"1970-01-01T00:00:01.123456789+00:00 stderr F hello  world\n")
    assert record == LogRecord("stderr", 1_123_456_789, b"hello  world\n")
    assert parse_line(b"1970-01-01T01:00:01+01:00 stdout P part\n") == LogRecord("stdout", 1_000_000_000, b"part", partial=True)
    assert parse_line(b"1970-01-01T00:00:01Z stdout F \n").data == b"\n"


@given(st.binary(max_size=80))
def test_anything_else_is_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_line(data)


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
def test_times_are_exact(seconds: int, nanoseconds: int) -> None:
    text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}+00:00"
    assert parse_time(text) == seconds * 1_000_000_000 + nanoseconds


async def test_all_and_parts(log: Path) -> None:
    assert (await read(log)).split() == [str(n).encode() for n in range(1, 11)]
    assert await read(log, since=9) == b"9\n10\n"
    assert await read(log, until=2) == b"1\n2\n"
    assert await read(log, tail=2) == b"9\n10\n"
    assert await read(log, tail=0) == b""
    assert await read(log, tail=100) == await read(log)
    assert await read(log, tail=3, since=10) == b"10\n"


async def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert await read(tmp_path / "none") == b""


async def test_streams_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(1, "out") + line(2, "err", stream="stderr"))
    assert [record.data async for record in read_log(path, {"stderr"})] == [b"err\n"]


async def test_lines_of_a_stream_may_come_together(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [
        ("stdout", "F", "a"),
        ("stdout", "F", ""),
        ("stderr", "F", "b"),
        ("stdout", "P", "c"),
        ("stdout", "F", "d stdout F e"),
    ]
    path.write_text("".join(f"1970-01-01T00:00:01.000000001+00:00 {stream} {tag} {text}\n" for stream, tag, text in lines))
    records = [(record.stream, record.data) async for record in read_log(path, BOTH, joined="plain")]
    assert records == [("stdout", b"a\n\n"), ("stderr", b"b\n"), ("stdout", b"c"), ("stdout", b"d stdout F e\n")]
    assert await read(path, joined="plain") == await read(path)
    assert [record.time async for record in read_log(path, {"stderr"}, joined="plain", since=1)] == [1_000_000_001]


async def test_lines_that_come_together_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "log"
    times = ("1970-01-01T00:00:01.000000001+00:00", "1970-01-01T00:00:02.000000002+00:00", "1970-01-01T02:00:03.000000003+02:00")
    path.write_text("".join(f"{time} stdout F x\n" for time in times))
    records = [(record.time, record.data) async for record in read_log(path, BOTH, joined="dated")]
    assert records == [
        (0, b"1970-01-01T00:00:01.000000001Z x\n1970-01-01T00:00:02.000000002Z x\n"),
        (3_000_000_003, b"x\n"),
    ]


async def test_the_tail_counts_lines_not_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line(1, "one") + line(2, "a", "P") + line(2, "b", "P") + line(2, "c") + line(3, "end", "P"))
    assert await read(path, tail=1) == b"end"
    assert await read(path, tail=2) == b"abc\nend"
    assert await read(path, tail=3) == b"one\nabc\nend"


@given(st.integers(1, 400), st.integers(0, 420), st.integers(1, 3000))
def test_the_tail_of_any_log(tmp_path_factory: pytest.TempPathFactory, lines: int, tail: int, width: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_text("".join(line(number, str(number) * (width // 3 + 1)) for number in range(1, lines + 1)))
    whole = list(range(1, lines + 1))
    expected = b"".join(str(number).encode() * (width // 3 + 1) + b"\n" for number in (whole[-tail:] if tail else []))
    assert asyncio.run(read(path, tail=tail)) == expected


async def test_following_sees_what_comes_and_ends(log: Path) -> None:
    over = asyncio.Event()

    async def write() -> None:
        for number in range(11, 14):
            await asyncio.sleep(0.02)
            with log.open("a") as file:
                file.write(line(number))
        over.set()

    async with Tasks("test") as tasks:
        writing = tasks.start(write(), "write")
        assert await read(log, tail=1, ended=over.wait) == b"10\n11\n12\n13\n"
        await writing


def rotate(log: Path) -> None:
    """The old file gets a last line after its renaming, then there is a new one."""
    with log.open("a") as old:
        log.rename(log.with_suffix(".1"))
        old.write(line(11))
    log.write_text(line(12))


async def test_following_goes_through_a_rotation(log: Path) -> None:
    over = asyncio.Event()

    async def write() -> None:
        await asyncio.sleep(0.02)
        rotate(log)
        await asyncio.sleep(0.05)
        over.set()

    async with Tasks("test") as tasks:
        writing = tasks.start(write(), "write")
        assert await read(log, tail=1, ended=over.wait) == b"10\n11\n12\n"
        await writing


async def test_following_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def write() -> None:
        await asyncio.sleep(0.02)
        (tmp_path / "log").write_text(line(1))
        await asyncio.sleep(0.05)
        over.set()

    async with Tasks("test") as tasks:
        writing = tasks.start(write(), "write")
        assert await read(tmp_path / "log", ended=over.wait) == b"1\n"
        await writing


@pytest.mark.root
async def test_a_container_is_followed_to_its_last_byte(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo one; sleep 0.1; echo two; printf three")
    data = [record.data async for record in container.logs(follow=True)]
    assert b"".join(data) == b"one\ntwo\nthree"


@pytest.mark.root
async def test_long_lines_come_whole(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo")
    records = [record async for record in container.logs(follow=True)]
    assert b"".join(record.data for record in records) == b"x" * 100000 + b"\n"
    assert [record.partial for record in records].count(False) == 1
