from pathlib import Path

import pytest

from podling.aio.clock import SystemClock
from podling.base.errors import Conflict, NotFound
from podling.volumes.volumes import Volumes


@pytest.fixture
def volumes(tmp_path: Path) -> Volumes:
    return Volumes(tmp_path, SystemClock())


async def test_a_volume_is_found_again_after_a_restart(volumes: Volumes, tmp_path: Path) -> None:
    made = await volumes.create("data", labels={"a": "b"})
    assert Volumes(tmp_path, SystemClock()).find("data") == made


async def test_creating_twice_gives_the_same(volumes: Volumes) -> None:
    assert await volumes.create("data") == await volumes.create("data")


async def test_a_used_volume_is_not_removed(volumes: Volumes) -> None:
    await volumes.create("data")
    volumes.use("data", "c1")
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1\]"):
        await volumes.remove("data")
    volumes.forget("data", "c1")
    await volumes.remove("data")
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.find("data")


async def test_removing_what_is_not_there(volumes: Volumes) -> None:
    with pytest.raises(NotFound):
        await volumes.remove("none")
    await volumes.remove("none", force=True)


async def test_prune_takes_unused_anonymous_volumes(volumes: Volumes) -> None:
    named, used, unused = await volumes.create("named"), await volumes.create(), await volumes.create()
    volumes.use(used.name, "c1")
    (unused.path / "file").write_bytes(b"x" * 5000)
    names, freed = await volumes.prune()
    assert names == [unused.name]
    assert freed >= 5000
    assert {volume.name for volume in volumes.list()} == {named.name, used.name}


async def test_an_unknown_driver_is_named(volumes: Volumes) -> None:
    with pytest.raises(NotFound, match='plugin "nfs4" not found'):
        await volumes.create("x1", driver="nfs4")
