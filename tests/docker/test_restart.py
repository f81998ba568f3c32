"""A daemon that is started again finds what it left."""

import pytest

from podling.build.base import Options, Run
from podling.docker.runner import EngineRunner
from podling.testing.docker import running_docker

pytestmark = pytest.mark.root


def test_containers_run_on_and_builds_are_swept():
    with running_docker() as docker:
        docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", "echo before; sleep 100")
        docker("volume", "create", "data")
        docker.do(_abandon_a_build(docker))
        assert "podling.build" in docker("ps", "-a", "--format", "{{.Labels}}").stdout
        docker.stop()
        docker.start()
        assert docker("ps", "-a", "--format", "{{.Names}} {{.Ports}}").stdout == "web 0.0.0.0:8080->80/tcp\n"
        assert docker("logs", "web").stdout == "before\n"
        assert docker("exec", "web", "echo", "on").stdout == "on\n"
        assert docker("volume", "ls", "-q").stdout == "data\n"
        assert not [info for info in docker.engine.snapshots.walk() if info.name.startswith("build-")]
        assert list((docker.folder / "root/build").iterdir()) == []


async def _abandon_a_build(docker):
    """What a daemon leaves that is killed in the middle of a build."""
    image = docker.engine.images.get("busybox")
    place = docker.engine.root / "build/abandoned/build-x"
    place.mkdir(parents=True)
    docker.engine.snapshots.prepare("build-x", image.chain)
    docker.engine.snapshots.mount("build-x", place)
    await EngineRunner(docker.engine).prepare(Run(image.id, ("sleep", "100"), (), "", "", Options()))
