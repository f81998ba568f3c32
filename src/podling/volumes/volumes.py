"""All volumes of one engine: made, found, used by containers, removed when nobody uses them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from podling.aio.clock import Clock
from podling.base.errors import AlreadyExists, Conflict, NotFound, PodlingError
from podling.base.ids import container_id
from podling.volumes.base import Driver, Volume
from podling.volumes.local import LocalDriver, usage
from podling.volumes.plugin import Plugins

Wanted = Callable[[Volume], bool]
Tell = Callable[[str, Volume, str], None]


class Volumes:
    """The engine's face to volumes. Who uses a volume is told anew after each start of the engine (`use`).

    `tell(action, volume, container)` hears what happens: create, destroy, and for a container mount, unmount.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock,
        drivers: Iterable[Driver] = (),
        plugins: Plugins | None = None,
        tell: Tell = lambda *_: None,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._plugins = plugins or Plugins(root / ".plugins")
        self._drivers: dict[str, Driver] = {driver.name: driver for driver in (LocalDriver(root), *drivers)}
        self._volumes = {volume.name: volume for driver in self._drivers.values() for volume in driver.list()}
        self._volumes |= {volume.name: volume for volume in self._plugins.kept()}
        self._users: dict[str, dict[str, bool]] = defaultdict(dict)  # volume → container → whether it is mounted there

    async def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Volume:
        """The volume `name`, made if there is none; without a name, or with one that nobody chose, it is `anonymous`.

        Raises NotFound (unknown driver), InvalidInput, AlreadyExists where the name has another driver.
        """
        try:
            chosen = await asyncio.to_thread(self._driver, driver or LocalDriver.name)
        except PodlingError as error:
            raise type(error)(f"create {name}: error looking up volume plugin {driver}: {error.message}") from None
        if (found := self._volumes.get(name)) is not None:
            if driver and found.driver != chosen.name:
                raise AlreadyExists(
                    f"a volume named {name} already exists with the {found.driver} driver. Choose a different volume name"
                )
            return found
        unnamed = anonymous or not name
        asked = Volume(
            name or container_id(), Path(), chosen.name, dict(options or {}), dict(labels or {}), self._clock.now(), unnamed
        )
        volume = await asyncio.to_thread(chosen.create, asked)
        if (meanwhile := self._volumes.setdefault(volume.name, volume)) is volume:
            self._tell("create", volume, "")
        return meanwhile

    def _driver(self, name: str) -> Driver:
        """One of ours, or a plugin, which is looked up anew each time: it may have been started meanwhile. Raises NotFound."""
        return self._drivers.get(name) or self._plugins.find(name)

    def _mount(self, volume: Volume) -> Path:
        return self._driver(volume.driver).mount(volume)

    def _unmount(self, volume: Volume) -> None:
        self._driver(volume.driver).unmount(volume)

    def _remove(self, volume: Volume) -> None:
        self._driver(volume.driver).remove(volume)

    def find(self, name: str) -> Volume:
        """Raises NotFound."""
        if (volume := self._volumes.get(name)) is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def list(self) -> Sequence[Volume]:
        return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def use(self, name: str, container: str, *, mounted: bool = False) -> None:
        """`container` refers to the volume: it stays until `forget`."""
        self._users[name][container] = mounted or self._users[name].get(container, False)

    def forget(self, name: str, container: str) -> None:
        """The container is gone; nothing if it never used the volume."""
        self._users[name].pop(container, None)

    def users(self, name: str) -> Sequence[str]:
        """The containers that refer to a volume."""
        return sorted(self._users.get(name, ()))

    async def mount(self, name: str, container: str) -> Path:
        """The data's place on the host, for a container that is about to run."""
        volume = self.find(name)
        path = await asyncio.to_thread(self._mount, volume)
        if not volume.path.parts:
            self._volumes[name] = replace(volume, path=path)  # a plugin tells it only now
        self._users[name][container] = True
        self._tell("mount", volume, container)
        return path

    async def unmount(self, name: str, container: str) -> None:
        """The container has ended. The last one takes the mount away; nothing if there is none."""
        users = self._users[name]
        if not users.get(container) or name not in self._volumes:
            return
        users[container] = False
        volume = self._volumes[name]
        self._tell("unmount", volume, container)
        if not any(users.values()):
            await asyncio.to_thread(self._unmount, volume)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Delete a volume with its data. Raises NotFound (not with `force`), Conflict while containers refer to it."""
        volume = self._volumes.get(name)
        if volume is None:
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        if users := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        await asyncio.to_thread(self._remove, volume)
        self._volumes.pop(name, None)
        self._users.pop(name, None)
        self._tell("destroy", volume, "")

    async def prune(self, wanted: Wanted = lambda volume: volume.anonymous) -> tuple[Sequence[str], int]:
        """Remove unused volumes (anonymous ones, or those `wanted`): their names, and the bytes freed."""
        unused = [volume.name for volume in self.list() if wanted(volume) and not self.users(volume.name)]
        freed = sum([max(await self.usage(name), 0) for name in unused])
        for name in unused:
            await self.remove(name)
        return unused, freed

    async def usage(self, name: str) -> int:
        """Bytes on disk; -1 where only a plugin knows."""
        volume = self.find(name)
        return await asyncio.to_thread(usage, volume.path) if volume.driver in self._drivers else -1
