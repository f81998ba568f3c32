import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podling.base.errors import Forbidden, InvalidInput, NotFound
from podling.engine.archive import visible_changes
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.types import ContainerSpec, Mount, Security
from podling.snapshots import diff
from podling.snapshots.base import Change
from podling.testing.engine import bytes_once, output_of, run
from podling.testing.images import entry, files_layer, layer


async def names(archive: AsyncIterator[bytes]) -> dict[str, bytes]:
    data = b"".join([piece async for piece in archive])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {item.name: (tar.extractfile(item) or io.BytesIO()).read() if item.isreg() else b"" for item in tar}


def test_mount_points_are_no_changes() -> None:
    changes = [Change("dev", "added"), Change("dev/shm", "added"), Change("etc", "modified"), Change("etc/hosts", "added")]
    assert visible_changes(changes) == []
    shown = visible_changes([*changes, Change("etc/motd", "added"), Change("old", "deleted")])
    assert [(change.kind, change.path) for change in shown] == [("C", "/etc"), ("A", "/etc/motd"), ("D", "/old")]


pytestmark = pytest.mark.root


@pytest.fixture(params=["running", "stopped"])
async def box(engine: Engine, request: pytest.FixtureRequest) -> Container:
    script = (
        "mkdir -p /data/in; echo hi > /data/in/file; ln -s /data/in /data/link; ln -s /../../etc/passwd /data/away; echo made"
    )
    container = await run(engine, "sh", "-c", f"{script}; {'sleep 100' if request.param == 'running' else 'true'}")
    if request.param == "stopped":
        await container.wait()
    else:
        async for _ in container.logs(follow=True):
            break
    return container


async def test_out(box: Container) -> None:
    found, archive = await box.archive_get("/data/in")
    assert found.name == "in"
    assert await names(archive) == {"in": b"", "in/file": b"hi\n"}
    _, archive = await box.archive_get("/data/link/file")
    assert await names(archive) == {"file": b"hi\n"}
    with pytest.raises(NotFound, match=f"Could not find the file /none in container {box.id}"):
        await box.archive_get("/none")


async def test_stat(box: Container) -> None:
    found = await box.archive_stat("/data/link")
    assert (found.name, found.link_target) == ("link", "/data/in")
    assert (await box.archive_stat("/data/in/file")).size == 3


async def test_links_do_not_lead_out(box: Container) -> None:
    """A link to the host's files leads to the container's own."""
    assert (await box.archive_stat("/data/away")).link_target == "/etc/passwd"
    await box.archive_put("/data/link", bytes_once(files_layer({"new": b"in"})))
    assert (await box.archive_stat("/data/in/new")).size == 2


async def test_in(box: Container) -> None:
    await box.archive_put("/data", bytes_once(files_layer({"a/b": b"1"})))
    assert (await box.archive_stat("/data/a/b")).size == 1
    with pytest.raises(InvalidInput, match="is outside of the root"):
        await box.archive_put("/data", bytes_once(files_layer({"../escape": b"2"})))
    with pytest.raises(InvalidInput, match="extraction point is not a directory"):
        await box.archive_put("/data/in/file", bytes_once(files_layer({"x": b""})))
    with pytest.raises(NotFound):
        await box.archive_put("/missing", bytes_once(files_layer({"x": b""})))


async def test_a_file_does_not_replace_a_directory_unless_allowed(box: Container) -> None:
    archive = layer([(entry("in"), b"file now")])
    with pytest.raises(InvalidInput):
        await box.archive_put("/data", bytes_once(archive), overwrite=False)
    await box.archive_put("/data", bytes_once(archive))
    assert (await box.archive_stat("/data/in")).size == 8


async def test_changes_and_export(box: Container) -> None:
    shown = {(change.kind, change.path) for change in await box.changes()}
    assert ("A", "/data/in/file") in shown
    assert not any(path.startswith(("/etc", "/dev", "/proc")) for _, path in shown)
    exported = await names(box.export())
    assert exported["data/in/file"] == b"hi\n"
    assert "bin/busybox" in exported


async def test_a_stopped_container_starts_after_a_copy(box: Container) -> None:
    await box.archive_put("/", bytes_once(files_layer({"put": b"in\n"})))
    if box.running:
        await box.kill()
        await box.wait()
    started = box.state.started_at
    await box.start()
    assert box.state.started_at > started


@pytest.mark.parametrize("running", [True, False])
async def test_volumes_are_seen(engine: Engine, tmp_path: Path, running: bool) -> None:
    (tmp_path / "bound").mkdir()
    (tmp_path / "one").write_text("from the host\n")
    mounts = (
        Mount("volume", "data", "/v"),
        Mount("bind", str(tmp_path / "bound"), "/v/b", read_only=True),
        Mount("bind", str(tmp_path / "one"), "/one"),
    )
    spec = ContainerSpec("busybox", command=("sleep", "100"), mounts=mounts, security=Security(read_only_root=True))
    container = await engine.containers.create(spec)
    if running:
        await container.start()
    await container.archive_put("/v", bytes_once(files_layer({"file": b"in the volume\n"})))
    for place in ("/v/b", "/"):
        with pytest.raises(Forbidden, match="marked read-only"):
            await container.archive_put(place, bytes_once(files_layer({"file": b""})))
    _, archive = await container.archive_get("/one")
    assert await names(archive) == {"one": b"from the host\n"}
    other = await run(engine, "cat", "/v/file", mounts=mounts[:1])
    assert await output_of(other) == ("in the volume\n", 0)


async def test_a_read_only_root_takes_nothing(engine: Engine) -> None:
    spec = ContainerSpec("busybox", security=Security(read_only_root=True))
    container = await engine.containers.create(spec)
    with pytest.raises(Forbidden, match="container rootfs is marked read-only"):
        await container.archive_put("/", bytes_once(files_layer({"x": b""})))


async def test_mount_points_are_in_no_layer(engine: Engine) -> None:
    """busybox alone has no /etc and no /dev."""
    container = await run(engine, "sh", "-c", "echo hi > /etc/motd; echo made; sleep 100")
    async for _ in container.logs(follow=True):
        break
    found = await names(diff.layer(engine.snapshots, container.id))
    assert found == {"etc": b"", "etc/motd": b"hi\n"}
