"""Makes and starts one container of a pod, with everything that it sees: environment, files, log."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import orjson

from podling.base.errors import InvalidInput
from podling.client.errors import FAILURES
from podling.engine.types import Mount
from podling.node.container import TERMINATION_PATH, Surroundings, container_spec, local_profile, security_context
from podling.node.crew import Crew
from podling.node.environment import environment
from podling.node.hooks import run_hook
from podling.node.names import host_aliases, hostname_of, hosts_file, resolver_of
from podling.node.place import node_values
from podling.node.pod.events import HookFailed, LaunchFailed, Started
from podling.node.pod.instructions import Launch
from podling.node.pod.spec import Object, container_of, host_network
from podling.node.resources import cgroup_of
from podling.node.runtime import ImageFacts
from podling.node.runtime_classes import handler_of
from podling.node.volumes.base import Placed
from podling.node.volumes.volumes import mounts_of


async def launch(
    crew: Crew, pod: Object, order: Launch, addresses: tuple[str, ...], placed: Mapping[str, Placed], target: str = ""
) -> Started | LaunchFailed | HookFailed:
    """Create, start, and run the postStart hook. `target` is the container whose processes an ephemeral one is to see."""
    name = order.container
    try:
        container = container_of(pod, name)
        image = await crew.runtime.image(container.get("image") or "") or ImageFacts(order.image_id)
        around = await asyncio.to_thread(_surroundings, crew, pod, container, order.restarts, addresses, placed)
        around = replace(around, processes=target, runtime=await handler_of(crew.client, pod))
        spec = container_spec(pod, container, order.restarts, image, around)
    except (*FAILURES, InvalidInput) as error:
        return LaunchFailed(name, "CreateContainerConfigError", str(error))
    try:
        id = await crew.runtime.create(spec, pod["metadata"]["uid"])
    except FAILURES as error:
        return LaunchFailed(name, "CreateContainerError", str(error))
    crew.record(pod, "Normal", "Created", f"Created container: {name}", name)
    try:
        at = await crew.runtime.start(id)
    except FAILURES as error:
        return LaunchFailed(name, "StartError", str(error), id)
    crew.record(pod, "Normal", "Started", f"Started container {name}", name)
    handler = (container.get("lifecycle") or {}).get("postStart")
    if handler:
        try:
            await run_hook(crew.runtime, crew.clock, handler, container, id, addresses[0] if addresses else "")
        except (*FAILURES, ValueError) as error:
            return HookFailed(name, id, str(error))
    return Started(name, id, at)


def _surroundings(
    crew: Crew, pod: Object, container: Object, restarts: int, addresses: tuple[str, ...], placed: Mapping[str, Placed]
) -> Surroundings:
    namespace = pod["metadata"]["namespace"]
    services = crew.services(namespace) if pod["spec"].get("enableServiceLinks", True) else crew.services("")
    values = node_values(crew.config, addresses)
    variables = environment(pod, container, crew.sources.lookup(namespace), services, values)
    mounts = mounts_of(container, placed, variables)
    log_path = crew.config.log_directory(pod) / container["name"] / f"{restarts}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    return Surroundings(
        environment=variables,
        mounts=mounts + _files(crew, pod, container, restarts, addresses, {mount.target for mount in mounts}),
        log_path=str(log_path),
        log_options={"max-size": str(crew.config.settings.log_size), "max-file": str(crew.config.settings.log_files)},
        cgroup_parent=cgroup_of(pod, crew.config.cgroup),
        hostname=hostname_of(pod),
        node_memory=crew.config.memory,
        pids_limit=crew.config.settings.pids_limit,
        seccomp=_profile(crew.config.seccomp, local_profile(security_context(pod, container))),
    )


def _profile(directory: Path, name: str) -> Object | None:
    """A seccomp profile of the node, by its path below `directory`. Raises InvalidInput."""
    if not name:
        return None
    path = directory / name
    if not path.resolve().is_relative_to(directory.resolve()):
        raise InvalidInput(f'seccomp profile "{name}" leads out of {directory}')
    try:
        found: Object = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(f'cannot load seccomp profile "{path}": {error}') from None
    return found


def _files(
    crew: Crew, pod: Object, container: Object, restarts: int, addresses: tuple[str, ...], taken: set[str]
) -> tuple[Mount, ...]:
    """The files that every container gets, unless a volume is mounted in their place."""
    directory = crew.config.pod_directory(pod)
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    resolver = resolver_of(pod, crew.config.resolver, crew.config.cluster_dns, crew.config.cluster_domain)
    target = container.get("terminationMessagePath") or TERMINATION_PATH
    texts = {
        "/etc/hosts": (directory / "etc-hosts", _hosts(crew, pod, addresses), 0o644),
        "/etc/resolv.conf": (directory / "resolv.conf", resolver.text(), 0o644),
        target: (termination_file(directory, container["name"], restarts), "", 0o666),
    }
    return tuple(Mount("bind", str(_write(*file)), target) for target, file in texts.items() if target not in taken)


def _hosts(crew: Crew, pod: Object, addresses: tuple[str, ...]) -> str:
    if host_network(pod):
        return Path("/etc/hosts").read_text() + host_aliases(pod)
    return hosts_file(pod, addresses, crew.config.cluster_domain)


def termination_file(directory: Path, name: str, restarts: int) -> Path:
    """Where the container's termination message is kept on the node."""
    return directory / "containers" / name / f"{restarts}.termination"


def _write(path: Path, text: str, mode: int) -> Path:
    """In place, since running containers see this very inode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or (text and path.read_text() != text):
        path.write_text(text)
        path.chmod(mode)
    return path
