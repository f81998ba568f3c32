import asyncio
from pathlib import Path

import pytest

from podling.base.errors import InvalidInput
from podling.engine import logdriver, logfiles
from podling.engine.engine import Engine
from podling.engine.logdriver import LogDriver
from podling.engine.types import ContainerSpec
from podling.testing.engine import output_of, run
from podling.testing.log_contract import LogDriverContract, Writer


class TestJsonFile(LogDriverContract):
    @pytest.fixture
    def driver(self) -> LogDriver:
        return logdriver.find("")

    def test_compression_needs_files(self, driver: LogDriver) -> None:
        with pytest.raises(InvalidInput, match="compress cannot be true when max-file is less than 2"):
            driver.check({"compress": "true"})


class TestLocal(LogDriverContract):
    @pytest.fixture
    def driver(self) -> LogDriver:
        return logdriver.find("local")

    def test_it_is_bounded_by_itself(self, driver: LogDriver) -> None:
        assert driver.size({}) == 20 << 20


def test_none_keeps_nothing() -> None:
    driver = logdriver.find("none")
    driver.check({"max-size": "1m"})
    assert driver.size({}) is None
    with pytest.raises(InvalidInput, match="configured logging driver does not support reading"):
        driver.read(Path("log"), ("stdout",))


def test_an_unknown_driver() -> None:
    with pytest.raises(InvalidInput, match="logger: no log driver named 'nosuch' is registered"):
        logdriver.find("nosuch")


def test_a_file_that_filled_up_unseen_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "log"
    writer = Writer(place, 120)
    writer.write("one")
    logfiles.hold(place, 2)
    for text in ("two", "three"):
        writer.write(text)
    assert [path.name for path in logfiles.files(place)] == ["log.held", "log"]
    logfiles.hold(place, 2)
    logfiles.hold(place, 2)
    assert [path.name for path in logfiles.files(place)] == ["log.1", "log"]


@pytest.mark.root
async def test_a_container_has_as_many_files_as_asked(engine: Engine) -> None:
    options = {"max-size": "2k", "max-file": "3"}
    script = "i=100; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); [ $((i % 20)) = 0 ] && sleep 0.05; done"
    container = await run(engine, "sh", "-c", script, log_options=options)
    followed = [record.data.decode().strip() async for record in container.logs(follow=True)]
    assert followed == [f"line {number}" for number in range(100, 300)]
    lines = (await output_of(container))[0].splitlines()
    assert lines == [f"line {number}" for number in range(300 - len(lines), 300)]
    assert 70 < len(lines) < 130  # of about 45 bytes each
    latest = [record.data async for record in container.logs(tail=60)]
    assert latest[0] == b"line 240\n"
    directory = engine.root / "containers" / container.id
    assert len(await asyncio.to_thread(lambda: list(directory.glob("container.log*")))) <= 4


@pytest.mark.root
async def test_wrong_options_are_refused_before_anything_is_made(engine: Engine) -> None:
    for fields in ({"log_driver": "nosuch"}, {"log_options": {"nosuch": "1"}}):
        with pytest.raises(InvalidInput):
            await engine.containers.create(ContainerSpec("busybox", command=("true",), **fields))  # type: ignore[arg-type]
    assert engine.containers.list() == []
