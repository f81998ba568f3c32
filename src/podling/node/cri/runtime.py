"""The pods' runtime over CRI. Source: k8s.io/cri-api, runtime/v1/api.proto."""

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from podling.aio.http import ByteStream
from podling.base.errors import Conflict, Failed, NotFound, TimedOut, Unsupported
from podling.base.files import write_atomic
from podling.engine.logs import read_log
from podling.engine.types import ContainerSpec, ExecSpec, LogRecord
from podling.linux import process
from podling.node.cri.client import CriClient
from podling.node.cri.config import Fields, container_config, limits, sandbox_config
from podling.node.cri.streams import RemoteSession, connect
from podling.node.dial import dial
from podling.node.network import PodNetwork
from podling.node.place import NodeConfig
from podling.node.runtime import POD_UID, Ended, Held, HeldImage, ImageFacts, Login, Output, SandboxSpec
from podling.runtime.types import Resources

_READY = 0  # PodSandboxState
_RUNNING, _EXITED = 1, 2  # ContainerState
_NANOSECONDS = 1e9
_PULL_SECONDS = 1800.0
_SPARE = 15.0  # seconds that a call may take beyond the time that it was told to wait
_NOTICE = 0.01  # seconds to give the runtime to notice an end

# The runtime makes a namespace and calls these; they answer what the node has decided, which wires the namespace itself.
_PLUGIN = """\
#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}' ;;
ADD) uid=${CNI_ARGS#*K8S_POD_UID=}; uid=${uid%%;*}; [ "$CNI_IFNAME" != lo ] || uid=lo; exec cat "${0%/bin/*}/answers/$uid" ;;
esac
"""
_PLUGINS = ("podling", "loopback")
_NETWORK = {"cniVersion": "1.0.0", "name": "podling", "plugins": [{"type": "podling"}]}


class CriRuntime:
    """Implements `podling.node.runtime.PodRuntime`. The runtime has to be told of `<run>/cni/bin` and `<run>/cni/net.d`."""

    name = "cri"
    version = ""

    def __init__(self, client: CriClient, network: PodNetwork, config: NodeConfig) -> None:
        self._client = client
        self._network = network
        self._config = config
        self._cni = config.run / "cni"
        self._sandboxes: dict[str, str] = {}
        self._configs: dict[str, Fields] = {}

    async def prepare(self) -> None:
        """Learn who the runtime is, and lay out what it calls for a pod's network."""
        told = await self._client.call("Version", patience=_SPARE)
        self.name, self.version = told.runtime_name, told.runtime_version
        await asyncio.to_thread(self._lay_out)

    def _lay_out(self) -> None:
        for name in ("bin", "net.d", "answers"):
            (self._cni / name).mkdir(parents=True, exist_ok=True)
        for name in _PLUGINS:
            write_atomic(self._cni / "bin" / name, _PLUGIN.encode(), 0o755)
        self._answer("lo", "lo", "127.0.0.1/8")
        write_atomic(self._cni / "net.d/10-podling.conflist", json.dumps(_NETWORK).encode(), 0o644)

    async def close(self) -> None:
        await self._client.close()

    # Sandboxes

    async def run_sandbox(self, spec: SandboxSpec) -> tuple[str, ...]:
        there = await self.sandboxes()
        if spec.uid in there:
            self._configs[spec.uid] = self._sandbox_config(spec)
            return there[spec.uid]
        await self.remove_sandbox(spec.uid)  # half made
        try:
            return await self._make_sandbox(spec)
        except BaseException:
            await self.remove_sandbox(spec.uid)
            raise

    async def _make_sandbox(self, spec: SandboxSpec) -> tuple[str, ...]:
        config = self._configs[spec.uid] = self._sandbox_config(spec)
        if not spec.host_network:
            await asyncio.to_thread(self._answer, spec.uid, "eth0", f"{self._network.reserve(spec.uid)}/32")
        made = await self._client.call("RunPodSandbox", config=config)
        self._sandboxes[spec.uid] = made.pod_sandbox_id
        if spec.host_network:
            return await self._network.add(spec)
        return await self._network.adopt(spec, await self._namespace(made.pod_sandbox_id))

    def _sandbox_config(self, spec: SandboxSpec) -> Fields:
        return sandbox_config(spec, str(self._config.logs / f"{spec.namespace}_{spec.name}_{spec.uid}"))

    def _answer(self, name: str, device: str, address: str) -> None:
        """What the plugin is to say: CNI's result type."""
        interfaces = [{"name": device, "sandbox": "pod"}]
        answer = {"cniVersion": "1.0.0", "interfaces": interfaces, "ips": [{"address": address, "interface": 0}]}
        write_atomic(self._cni / "answers" / name, json.dumps(answer).encode(), 0o644)

    async def _namespace(self, sandbox: str) -> Path:
        """Where the runtime keeps a sandbox's network namespace: in the OCI configuration among its verbose answers."""
        told = await self._client.call("PodSandboxStatus", pod_sandbox_id=sandbox, verbose=True)
        namespaces = json.loads(told.info["info"])["runtimeSpec"]["linux"]["namespaces"]
        return Path(next(each["path"] for each in namespaces if each["type"] == "network"))

    async def remove_sandbox(self, uid: str) -> None:
        found = [item.id for item in await self._listed() if item.metadata.uid == uid]
        for id in found:
            with suppress(NotFound):
                await self._client.call("StopPodSandbox", pod_sandbox_id=id)
                await self._client.call("RemovePodSandbox", pod_sandbox_id=id)
        await self._network.remove(uid)
        self._sandboxes.pop(uid, None)
        self._configs.pop(uid, None)
        await asyncio.to_thread((self._cni / "answers" / uid).unlink, missing_ok=True)

    async def sandboxes(self) -> dict[str, tuple[str, ...]]:
        ready = {item.metadata.uid: item.id for item in await self._listed() if item.state == _READY}
        wired = await self._network.listed()
        self._sandboxes = {uid: id for uid, id in ready.items() if uid in wired}
        return {uid: wired[uid] for uid in self._sandboxes}

    async def _listed(self) -> list[Any]:
        """Those that the node made: others may use the runtime too."""
        answer = await self._client.call("ListPodSandbox")
        return [item for item in answer.items if item.labels.get(POD_UID) == item.metadata.uid]

    # Containers

    async def create(self, spec: ContainerSpec, sandbox: str) -> str:
        if sandbox not in self._sandboxes or sandbox not in self._configs:
            raise NotFound(f"no sandbox of pod {sandbox}")
        around = self._configs[sandbox]
        fields = container_config(spec, around)
        made = await self._client.call(
            "CreateContainer", pod_sandbox_id=self._sandboxes[sandbox], config=fields, sandbox_config=around
        )
        id: str = made.container_id
        return id

    async def start(self, id: str) -> float:
        await self._client.call("StartContainer", container_id=id)
        at: int = (await self._status(id)).started_at
        return at / _NANOSECONDS

    async def stop(self, id: str, grace: float) -> None:
        seconds = math.ceil(max(grace, 0))
        with suppress(NotFound):
            await self._client.call("StopContainer", patience=seconds + _SPARE, container_id=id, timeout=seconds)

    async def resize(self, id: str, resources: Resources) -> None:
        await self._client.call("UpdateContainerResources", container_id=id, linux=limits(resources))

    async def wait(self, id: str) -> Ended:
        """By a descriptor of the process, since not every runtime tells of ends; its last word is the runtime's."""
        told = await self._client.call("ContainerStatus", container_id=id, verbose=True)
        while told.status.state == _RUNNING:
            await _end_of(_pid(told))
            told = await self._client.call("ContainerStatus", container_id=id, verbose=True)
        return _ended(told.status)

    async def remove(self, id: str) -> None:
        with suppress(NotFound):
            await self._client.call("RemoveContainer", container_id=id)

    async def containers(self) -> list[Held]:
        found = (await self._client.call("ListContainers")).containers
        return [await self._held(item.id) for item in found if POD_UID in item.labels]

    async def _held(self, id: str) -> Held:
        status = await self._status(id)
        return Held(
            id=id,
            image_id=status.image_ref,
            labels=dict(status.labels),
            started_at=status.started_at / _NANOSECONDS,
            running=status.state == _RUNNING,
            ended=_ended(status) if status.state == _EXITED else None,
        )

    async def _status(self, id: str) -> Any:
        return (await self._client.call("ContainerStatus", container_id=id)).status

    # Streams

    async def run(self, id: str, command: tuple[str, ...], timeout: float) -> Output:
        try:
            told = await self._client.call(
                "ExecSync", patience=timeout + _SPARE, container_id=id, cmd=command, timeout=math.ceil(timeout)
            )
        except TimedOut:
            raise TimedOut(f"command {command[0]} timed out after {timeout:g}s") from None
        return Output(told.exit_code, told.stdout + told.stderr)

    async def exec(self, id: str, spec: ExecSpec) -> RemoteSession:
        told = await self._client.call(
            "Exec", container_id=id, cmd=spec.command, tty=spec.tty, stdin=spec.stdin, stdout=True, stderr=not spec.tty
        )
        return await connect(told.url, stdin=spec.stdin, tty=spec.tty)

    async def attach(self, id: str) -> RemoteSession:
        told = await self._client.call("ContainerStatus", container_id=id, verbose=True)
        asked = json.loads(told.info["info"])["config"]
        stdin, tty = bool(asked.get("stdin")), bool(asked.get("tty"))
        told = await self._client.call("Attach", container_id=id, stdin=stdin, tty=tty, stdout=True, stderr=not tty)
        return await connect(told.url, stdin=stdin, tty=tty)

    async def logs(self, id: str, *, follow: bool = False, since: float = 0, tail: int | None = None) -> AsyncIterator[LogRecord]:
        path = Path((await self._status(id)).log_path)

        async def ended() -> None:
            await self.wait(id)

        records = read_log(path, ("stdout", "stderr"), since=since or None, tail=tail, ended=ended if follow else None)
        async for record in records:
            yield record

    async def dial(self, sandbox: str, port: int) -> ByteStream:
        path = self._network.path(sandbox, "net")
        return await dial(path if path.exists() else None, port)

    # Images

    async def image(self, reference: str) -> ImageFacts | None:
        answer = await self._client.call("ImageStatus", image={"image": reference})
        if not answer.image.id:
            return None
        user = answer.image.username or (str(answer.image.uid.value) if answer.image.HasField("uid") else "")
        return ImageFacts(answer.image.id, user, local=not answer.image.repo_digests)

    async def pull(self, reference: str, login: Login | None) -> ImageFacts:
        auth = {"username": login.username, "password": login.password} if login else None
        await self._client.call("PullImage", patience=_PULL_SECONDS, image={"image": reference}, auth=auth)
        found = await self.image(reference)
        if found is None:
            raise Failed(f"the runtime pulled {reference} and does not have it")
        return found

    async def remove_image(self, id: str) -> None:
        if any(held.image_id == id for held in await self.containers()):
            raise Conflict(f"image {id} is used by a container")
        await self._client.call("RemoveImage", image={"image": id})

    async def show_image(self, id: str, owner: str, target: Path) -> None:
        raise Unsupported("image volumes need podling's own engine")

    async def hide_images(self, owner: str) -> None:
        """There are none."""

    async def images(self) -> list[HeldImage]:
        answer = await self._client.call("ListImages")
        return [HeldImage(image.id, (*image.repo_tags, *image.repo_digests), image.size) for image in answer.images]


def _ended(status: Any) -> Ended:
    return Ended(status.exit_code, status.finished_at / _NANOSECONDS, oom_killed=status.reason == "OOMKilled")


def _pid(told: Any) -> int:
    """Of the container's first process, which containerd and CRI-O tell among their verbose answers."""
    return int(json.loads(told.info["info"])["pid"])


async def _end_of(pid: int) -> None:
    """Return when the process has ended, at once if it is not there."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        await asyncio.sleep(_NOTICE)
        return
    try:
        await process.wait_pidfd(descriptor)
    finally:
        os.close(descriptor)
