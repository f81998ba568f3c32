"""The runtimes that pods run by: our engine, and containerd by CRI, with the same tests."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podling.node.engine_runtime import EngineRuntime
from podling.node.network import PodNetwork
from podling.node.place import NodeConfig
from podling.testing.engine import assert_nothing_left, instance_of, load_busybox, running_engine
from podling.testing.pod_runtime_contract import PodRuntimeContract

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("own_network")]


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    place = NodeConfig("n1", tmp_path / "root", tmp_path / "run", "10.244.0.1", instance_of(tmp_path))
    place.logs.mkdir(parents=True)
    place.run.mkdir()
    return place


@pytest.fixture
def place(config: NodeConfig) -> Path:
    return config.logs


@pytest.fixture
async def network(config: NodeConfig) -> AsyncIterator[PodNetwork]:
    made = PodNetwork(config)
    await made.start()
    yield made
    await made.close()


class TestEngine(PodRuntimeContract):
    @pytest.fixture
    async def runtime(self, network: PodNetwork, tmp_path: Path) -> AsyncIterator[EngineRuntime]:
        async with running_engine(tmp_path) as engine:
            await load_busybox(engine)
            yield EngineRuntime(engine, network)
            await engine.purge()


@pytest.mark.skipif(not shutil.which("containerd"), reason="needs containerd")
class TestContainerd(PodRuntimeContract):
    @pytest.fixture
    async def runtime(self, network: PodNetwork, config: NodeConfig, tmp_path: Path) -> AsyncIterator[object]:
        from podling.node.cri.client import CriClient
        from podling.node.cri.runtime import CriRuntime
        from podling.testing.containerd import running_containerd

        with running_containerd(tmp_path / "containerd", config.run / "cni") as endpoint:
            made = CriRuntime(CriClient(endpoint), network, config)
            await made.prepare()
            yield made
            for held in await made.containers():
                await made.stop(held.id, 0)
                await made.remove(held.id)
            for uid in await made.sandboxes():
                await made.remove_sandbox(uid)
            await made.close()
        assert_nothing_left(tmp_path)
