"""All containers of one engine: made, and found by name, id, or an unambiguous beginning of the id."""

import asyncio
import contextlib
import os
from dataclasses import replace

from podling.base.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from podling.base.ids import container_id
from podling.engine import links, logdriver
from podling.engine.bringup import expect, take_down_lost
from podling.engine.container import Container
from podling.engine.defaults import check_name, generate_name, with_image
from podling.engine.devices import block_numbers
from podling.engine.lifecycle import Life
from podling.engine.mounts import missing_source
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import ContainerSpec, Mount, Namespaces
from podling.runtime import program
from podling.runtime.spec import Plan, build


class Containers:
    """The engine's face to containers. `open` is called once the surroundings stand."""

    def __init__(self) -> None:
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}

    def open(self, around: Surroundings) -> None:
        self._around = around

    def expect(self) -> None:
        """A client has come, which may be about to start something."""
        expect(self._around)

    def list(self) -> "list[Container]":
        """All, the newest first."""
        return sorted(self._containers.values(), key=lambda container: container.created, reverse=True)

    def find(self, reference: str) -> Container:
        """Raises NotFound; InvalidInput when a beginning fits several."""
        plain = reference.removeprefix("/")
        identifier = plain if plain in self._containers else self._names.get(plain)
        if identifier in self._containers:
            return self._containers[identifier]
        begun = [key for key in self._containers if plain and key.startswith(plain)]
        if len(begun) > 1:
            raise InvalidInput(f"Multiple IDs found with provided prefix: {reference}")
        if not begun:
            raise NotFound(f"No such container: {reference}")
        return self._containers[begun[0]]

    def claim(self, name: str, identifier: str) -> None:
        """Take `name` for a container, in place of the one it has. Raises AlreadyExists."""
        holder = self._names.get(name)
        if holder is not None and holder != identifier:
            raise AlreadyExists(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._release_names(identifier)
        self._names[name] = identifier

    def _release_names(self, identifier: str) -> None:
        for name in [name for name, holder in self._names.items() if holder == identifier]:
            del self._names[name]

    def gone(self, identifier: str) -> None:
        self._containers.pop(identifier, None)
        self._release_names(identifier)
        self._around.execs.forget(identifier)

    def started(self, identifier: str) -> None:
        """Tell those that link to it where it is now."""
        container = self._containers[identifier]
        for other in self._containers.values():
            if other.running and other.links_to(container):
                self._around.tasks.start(other.refresh_hosts(), f"{other.id[:12]} links")

    async def create(self, spec: ContainerSpec) -> Container:
        """Make a container, ready to start.

        Raises NotFound (no such image), AlreadyExists (name taken), InvalidInput (what makes no sense, before anything is made).
        """
        expect(self._around)  # most are started at once
        identifier = container_id()
        name = self._take_name(spec.name, identifier)
        try:
            container = await self._make(identifier, name, spec)
        except BaseException:
            self._release_names(identifier)
            await asyncio.shield(self._undo(identifier))
            raise
        self._containers[identifier] = container
        container.tell("create")
        return container

    def _take_name(self, asked: str, identifier: str) -> str:
        name = check_name(asked) if asked else self._free_name()
        self.claim(name, identifier)
        return name

    def _free_name(self) -> str:
        while (name := generate_name()) in self._names:
            pass
        return name

    async def _make(self, identifier: str, name: str, asked: ContainerSpec) -> Container:
        around = self._around
        image = around.images.get(asked.image_id or asked.image)
        asked = replace(asked, name=name, image_id=image.id, namespaces=self._resolved(asked.namespaces))
        spec = with_image(self._with_volumes_from(asked), image.config.get("config") or {})
        self._check(spec)
        snapshot = await around.images.unpack(image)
        spec = replace(spec, mounts=tuple(_named(mount) for mount in spec.mounts))
        await asyncio.to_thread(self._begin, identifier, spec)
        await around.images.lease(identifier, [image.id], [snapshot] if snapshot else [])
        await asyncio.to_thread(around.images.snapshots.prepare, identifier, snapshot)
        for mount in spec.mounts:
            await self._volume(mount, identifier)
        life = Life(policy=spec.restart, auto_remove=spec.auto_remove)
        record = Record(identifier, name, around.clock.now(), image.id, snapshot, spec, life)
        await asyncio.to_thread(around.records.save, record)
        return Container(record, around)

    def _resolved(self, asked: Namespaces) -> Namespaces:
        """With container:NAME as container:ID, which holds when the other one is renamed. Raises InvalidInput."""
        modes = {kind: getattr(asked, kind) for kind in ("network", "ipc", "pid", "uts")}
        joined = {kind: mode[10:] for kind, mode in modes.items() if mode.startswith("container:")}
        return replace(asked, **{kind: f"container:{self._other(name).id}" for kind, name in joined.items()})

    def _with_volumes_from(self, asked: ContainerSpec) -> ContainerSpec:
        """With the mounts of other containers where it has none of its own. Raises InvalidInput."""
        mounts = {mount.target: mount for mount in asked.mounts}
        for text in asked.volumes_from:
            name, _, mode = text.partition(":")
            if not set(mode.split(",")) <= {"", "ro", "rw", "z", "Z"}:
                raise InvalidInput(f'invalid mode: "{mode}"')
            for mount in self._other(name).spec.mounts:
                if mount.type != "tmpfs":
                    read_only = mount.read_only or "ro" in mode.split(",")
                    taken = replace(mount, read_only=read_only, options={**mount.options, "inherited": True})
                    mounts.setdefault(mount.target, taken)
        return replace(asked, mounts=tuple(mounts.values()))

    def _check(self, spec: ContainerSpec) -> None:
        """What can be known to be wrong now is not left for the start."""
        if spec.auto_remove and spec.restart.name != "no":
            raise InvalidInput("can't create 'AutoRemove' container with restart policy")
        if spec.working_dir and not spec.working_dir.startswith("/"):
            raise InvalidInput(f"the working directory '{spec.working_dir}' is invalid, it needs to be an absolute path")
        if spec.runtime:
            program.find(spec.runtime)
        self._check_joined(spec)
        logdriver.find(spec.log_driver).check(spec.log_options)
        targets: set[str] = set()
        for mount in spec.mounts:
            self._check_mount(mount, targets)
        numbers = block_numbers(spec.resources)
        build(Plan("/", ["true"], [], resources=spec.resources, numbers=numbers, security=spec.security), self._around.host)

    def _check_joined(self, spec: ContainerSpec) -> None:
        modes = spec.namespaces
        if modes.user not in ("", "host"):
            raise InvalidInput(f"invalid userns mode: {modes.user}")
        joins = modes.network.startswith("container:")
        if joins and (spec.hostname or spec.ports or spec.extra_hosts or spec.dns):
            what = "hostname" if spec.hostname else "port publishing" if spec.ports else "custom host-to-IP mapping or dns"
            raise InvalidInput(f"conflicting options: {what} and the container type network mode")
        if spec.links and (joins or modes.network == "host"):
            kind = "container" if joins else "host"
            raise InvalidInput(f"conflicting options: {kind} type networking can't be used with links")
        for text in spec.links:
            name, _ = links.parse(text)
            self._other(name, f"could not get container for {name}: ")

    def _other(self, name: str, where: str = "") -> Container:
        """Another container that a new one names. Raises InvalidInput: a client takes NotFound for the image's."""
        try:
            return self.find(name)
        except NotFound as error:
            raise InvalidInput(f"{where}{error.message}") from None

    def _check_mount(self, mount: Mount, targets: set[str]) -> None:
        target = os.path.normpath(mount.target)
        if not target.startswith("/") or target == "/":
            raise InvalidInput(f"invalid mount config for type \"{mount.type}\": invalid mount path: '{mount.target}'")
        if target in targets:
            raise InvalidInput(f"Duplicate mount point: {target}")
        targets.add(target)
        if mount.type == "bind" and not mount.options.get("create_source") and not os.path.lexists(mount.source):
            raise missing_source(mount.source)

    def _begin(self, identifier: str, spec: ContainerSpec) -> None:
        """A place for the container, which tells of all that is made for it from now on."""
        records = self._around.records
        records.prepare(identifier)
        own = [mount.source for mount in spec.mounts if mount.options.get("anonymous") and not mount.options.get("inherited")]
        records.claim(identifier, own)

    async def _volume(self, mount: Mount, container: str) -> None:
        """Make the volume of a mount."""
        if mount.type == "volume":
            volume = await self._around.volumes.create(
                mount.source,
                driver=mount.options.get("driver") or "",
                options=mount.options.get("driver_options"),
                labels=mount.options.get("labels"),
                anonymous=bool(mount.options.get("anonymous")),
            )
            self._around.volumes.use(volume.name, container)

    async def _undo(self, identifier: str) -> None:
        """Take away what there is of a container that never was."""
        around = self._around
        for volume in around.volumes.list():
            around.volumes.forget(volume.name, identifier)
        for name in await asyncio.to_thread(around.records.claimed, identifier):
            with contextlib.suppress(Conflict, NotFound):
                await around.volumes.remove(name)
        await asyncio.to_thread(around.images.snapshots.remove, identifier)
        await around.images.release(identifier)
        await asyncio.to_thread(around.records.delete, identifier)

    # -- after a restart of the engine

    async def recover(self) -> None:
        """Take up all containers that an earlier process left; sweep up what is half made."""
        around = self._around
        for record in await asyncio.to_thread(lambda: list(around.records.load())):
            container = Container(record, around)
            self._containers[record.id] = container
            self._names[record.name] = record.id
            for mount in record.spec.mounts:
                if mount.type == "volume":
                    around.volumes.use(mount.source, record.id)
        running = {container.id for container in self._containers.values() if await container.adopt()}
        for identifier in running:
            for mount in self._containers[identifier].spec.mounts:
                if mount.type == "volume":
                    around.volumes.use(mount.source, identifier, mounted=True)
        await around.networks.start(running)
        await self._sweep()
        for container in list(self._containers.values()):
            if container.id not in running:
                around.tasks.start(container.settle(), f"{container.id[:12]} settle")

    async def _sweep(self) -> None:
        """What belongs to no container."""
        around = self._around
        for identifier in await around.runtime.list():
            if identifier not in self._containers:
                await around.runtime.delete(identifier)
        for identifier in await asyncio.to_thread(around.records.half_made):
            with contextlib.suppress(OSError):
                await take_down_lost(Record(identifier, "", 0, "", "", ContainerSpec("")), around)
            await self._undo(identifier)


def _named(mount: Mount) -> Mount:
    """The mount of a volume without a name has an anonymous one."""
    if mount.type != "volume" or mount.source:
        return mount
    return replace(mount, source=container_id(), options={**mount.options, "anonymous": True})
