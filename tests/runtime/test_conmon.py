import asyncio
import io
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from podling.base.ids import container_id
from podling.linux import cgroup
from podling.linux.inotify import CREATE, MOVED_TO, Inotify
from podling.runtime import program
from podling.runtime.base import Launch
from podling.runtime.conmon import Conmon
from podling.runtime.spec import Host, Plan, build
from podling.testing.images import busybox_layer
from podling.testing.runtime_contract import RuntimeContract

pytestmark = pytest.mark.root
LaunchOf = Callable[..., Launch]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rootfs")
    with tarfile.open(fileobj=io.BytesIO(busybox_layer())) as tar:
        tar.extractall(root, filter="fully_trusted")
    return root


@pytest.fixture
def launch_of(rootfs: Path, tmp_path: Path) -> LaunchOf:
    def make(*command: str, **fields: object) -> Launch:
        kinds = dict.fromkeys(("mount", "pid", "ipc", "uts", "network"))
        identifier = container_id()
        plan = Plan(str(rootfs), command, ["PATH=/bin"], namespaces=kinds, cgroup_path=f"/podling-test-{identifier[:8]}/c")
        host = Host(cgroup_v2=cgroup.detect().mode == "v2")
        return Launch(identifier, build(plan, host), tmp_path / "log", **fields)  # type: ignore[arg-type]

    made: list[Launch] = []

    def remember(*command: str, **fields: object) -> Launch:
        made.append(make(*command, **fields))
        return made[-1]

    yield remember  # type: ignore[misc]
    for launch in made:
        cgroup.Group(f"/podling-test-{launch.id[:8]}").remove()


class TestCrun(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Conmon:
        return Conmon(tmp_path / "run", program.find("crun"))


class TestRunc(RuntimeContract):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Conmon:
        return Conmon(tmp_path / "run", program.find("runc"))


async def test_another_process_takes_a_container_up(tmp_path: Path, launch_of: LaunchOf) -> None:
    launch = launch_of("sh", "-c", "read x; echo $x; exit 5", stdin=True)
    first = Conmon(tmp_path / "run")
    pid = await first.create(launch)
    await first.start(launch.id)
    second = Conmon(tmp_path / "run")
    assert await second.adopt(launch.id) == pid
    stdio = second.attach(launch.id, stdin=True)
    stdio.write(b"hello\n")
    assert await stdio.read() == ("stdout", b"hello\n")
    assert (await second.wait(launch.id)).code == 5
    third = Conmon(tmp_path / "run")
    assert await third.adopt(launch.id) == 0
    ended = third.ended(launch.id)
    assert ended is not None
    assert ended.code == 5
    await third.delete(launch.id)
    await second.delete(launch.id)
    await first.delete(launch.id)
    await stdio.close()


async def test_a_lost_conmon_is_told(tmp_path: Path, launch_of: LaunchOf) -> None:
    launch = launch_of("sleep", "100")
    runtime = Conmon(tmp_path / "run")
    await runtime.create(launch)
    await runtime.start(launch.id)
    os.kill(int((tmp_path / "run" / "bundles" / launch.id / "conmon.pid").read_text()), signal.SIGKILL)
    ended = await runtime.wait(launch.id)
    assert (ended.code, ended.error) == (255, "conmon was killed")
    await runtime.delete(launch.id)


async def test_the_log_goes_on_in_a_new_file_after_a_rotation(tmp_path: Path, launch_of: LaunchOf) -> None:
    launch = launch_of("sh", "-c", "while read x; do echo $x; done", stdin=True)
    runtime = Conmon(tmp_path / "run")
    await runtime.create(launch)
    stdio = runtime.attach(launch.id, stdin=True)
    await runtime.start(launch.id)
    stdio.write(b"one\n")
    await stdio.read()
    assert launch.log_path is not None
    launch.log_path.rename(tmp_path / "log.1")
    with Inotify() as watcher:
        watcher.add(tmp_path, CREATE | MOVED_TO)
        runtime.reopen_log(launch.id)
        async with asyncio.timeout(5):
            while not launch.log_path.exists():
                await watcher.next()
    stdio.write(b"two\n")
    await stdio.read()
    assert launch.log_path.read_text().endswith("F two\n")
    assert (tmp_path / "log.1").read_text().endswith("F one\n")
    await stdio.close()
    await runtime.delete(launch.id)


async def test_without_a_log_nothing_is_kept(tmp_path: Path, launch_of: LaunchOf) -> None:
    launch = launch_of("echo", "hi")
    runtime = Conmon(tmp_path / "run")
    silent = Launch(launch.id, launch.spec, None)
    await runtime.create(silent)
    stdio = runtime.attach(launch.id, stdin=False)
    await runtime.start(launch.id)
    assert await stdio.read() == ("stdout", b"hi\n")
    await runtime.wait(launch.id)
    await runtime.delete(launch.id)
    await stdio.close()
    assert not (tmp_path / "log").exists()
