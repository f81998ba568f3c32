import os
from pathlib import Path

import pytest

from podling.engine.engine import Engine, network_instance
from podling.linux.inside import make_directories_inside, open_inside, read_inside
from podling.linux.mount import mounts_below
from podling.testing.engine import run


@pytest.mark.parametrize(("instance", "digits"), [("podling", ""), ("podling-ab12cd", "ab12"), ("podling-other", None)])
def test_names_of_instances(instance: str, digits: str | None) -> None:
    found = network_instance(instance)
    assert found == digits if digits is not None else len(found) == 4


@pytest.mark.root
async def test_a_run_tells_its_story(engine: Engine) -> None:
    container = await run(engine, "true", labels={"a": "b"}, name="web")
    await container.wait()
    await container.remove()
    past = [event async for event in engine.events.subscribe(since=0, until=engine.clock.now())]
    told = [event for event in past if event.type == "container"]
    assert [event.action for event in told] == ["create", "start", "die", "destroy"]
    assert {event.actor for event in told} == {container.id}
    assert dict(told[2].attributes) == {"a": "b", "image": "busybox", "name": "web", "exitCode": "0"}


@pytest.mark.root
async def test_an_ended_container_holds_no_mount(engine: Engine) -> None:
    container = await run(engine, "true")
    await container.wait()
    await container.update()  # waits until what the end brought has been done
    assert not mounts_below(engine.root / "containers" / container.id)


def test_paths_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("inside")
    (tmp_path / "passwd").write_text("outside")
    (root / "up").symlink_to("../passwd")
    (root / "absolute").symlink_to("/etc/passwd")
    assert read_inside(root, "/absolute") == b"inside"
    assert read_inside(root, "../../etc/passwd") == b"inside"
    assert read_inside(root, "/up") == b""
    assert read_inside(root, "/etc") == b""
    with pytest.raises(FileNotFoundError):
        open_inside(root, "/up")


def test_directories_are_made_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "good").symlink_to("/there")
    (root / "there").mkdir()
    os.close(make_directories_inside(root, "/good/deep/er"))
    assert (root / "there" / "deep" / "er").is_dir()
    with pytest.raises(OSError, match="link"):
        make_directories_inside(root, "/link/x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
