"""From a record to a container that is ready to start: root, network, files, mounts, user. And back."""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

from podling.base.errors import InvalidInput
from podling.engine import logdriver
from podling.engine.devices import block_numbers
from podling.engine.mounts import OWN_FILES, SHARED_MEMORY, bind, hide_volumes
from podling.engine.naming import check_links, write_files
from podling.engine.network import join_all, open_network, owns_network
from podling.engine.plan import cgroup_path, plan_of
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import ContainerSpec
from podling.engine.undo import attempt
from podling.linux import mount as mounts
from podling.linux import namespace
from podling.linux.cgroup import Group, expect_move
from podling.linux.inside import make_directories_inside, read_inside
from podling.runtime.base import Launch
from podling.runtime.spec import build
from podling.runtime.user import User, lookup

T = TypeVar("T")
U = TypeVar("U")


def expect(around: Surroundings) -> None:
    """A process is about to start in a container: have the kernel ready."""
    if around.hierarchies.mode != "v2":
        around.tasks.start(asyncio.to_thread(expect_move, around.hierarchies), "expect a start")


async def bring_up(record: Record, around: Surroundings) -> int:
    """Mount and connect everything and create the container, ready to start: its pid. `take_down` undoes it, also when it fails.

    The runtime makes the container while its namespace is put into networks: what those tell it, it reads after its start.
    """
    check_links(record, around)
    root = around.records.directory(record.id) / "rootfs"
    await _all(asyncio.to_thread(_mount_root, record, around, root), open_network(record, around))
    if record.spec.links:  # its environment tells of them
        await _connect(record, around)
        return await around.runtime.create(await _launch(record, around, root))
    launch = await _launch(record, around, root)
    _, pid = await _all(_connect(record, around), around.runtime.create(launch))
    return pid


async def _launch(record: Record, around: Surroundings, root: Path) -> Launch:
    spec = record.spec
    bound = await bind(record, around, root)
    user, numbers = await asyncio.to_thread(_look_around, record, around, root)
    size = logdriver.find(spec.log_driver).size(spec.log_options)
    plan = replace(plan_of(record, around, root, user, bound), numbers=numbers)
    return Launch(
        id=record.id,
        spec=build(plan, around.host),
        log_path=None if size is None else around.records.log_path(record),
        log_size=size or 0,
        terminal=spec.tty,
        stdin=spec.open_stdin,
        keep_stdin_open=spec.open_stdin and (spec.tty or not spec.stdin_once),  # a terminal outlives its clients
        program=spec.runtime,
    )


async def _all(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Side by side, to the end of each even when one fails: what is to be undone must stand still first."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    for result in (one, two):
        if isinstance(result, BaseException):
            raise result
    return cast(T, one), cast(U, two)


async def take_down(record: Record, around: Surroundings) -> None:
    """Give back whatever `bring_up` and the runtime took. Each part is tried, failures are logged. Safe twice, and without."""
    await attempt(around.runtime.delete(record.id), record)
    await attempt(around.networks.release(record.id), record)
    await hide_volumes(record, around)
    await attempt(asyncio.to_thread(_unmount, record, around), record)


async def take_down_lost(record: Record, around: Surroundings) -> None:
    """As `take_down`, for what an earlier process left: also what the runtime itself has lost track of."""
    await take_down(record, around)
    await attempt(asyncio.to_thread(_end_cgroup, Group(cgroup_path(record, around), around.hierarchies)), record)


def _end_cgroup(group: Group) -> None:
    if group.exists():
        group.kill()
        group.remove()


def _unmount(record: Record, around: Surroundings) -> None:
    namespace.remove(around.netns(record.id))
    directory = around.records.directory(record.id)
    for place in (directory / "rootfs", directory / SHARED_MEMORY):
        mounts.unmount_if_mounted(place)


def _look_around(record: Record, around: Surroundings, root: Path) -> tuple[User, dict[str, tuple[int, int]]]:
    """What takes a look at files: the user of the image, devices of the host. And the places of the container's own files."""
    for path in OWN_FILES:
        (around.records.directory(record.id) / os.path.basename(path)).touch()
    return _look_inside(record.spec, root), block_numbers(record.spec.resources)


def _mount_root(record: Record, around: Surroundings, root: Path) -> None:
    if not mounts.is_mountpoint(root):
        around.images.snapshots.mount(record.id, root)


def _look_inside(spec: ContainerSpec, root: Path) -> User:
    """The user by the image's accounts; the working directory is made where the image lacks it."""
    if spec.working_dir not in ("", "/"):
        try:
            os.close(make_directories_inside(root, spec.working_dir))
        except NotADirectoryError:
            raise InvalidInput(f'cannot mkdir "{spec.working_dir}": not a directory') from None
    passwd, group = (read_inside(root, path).decode(errors="replace") for path in ("etc/passwd", "etc/group"))
    return lookup(spec.user, passwd, group, spec.groups)


async def _connect(record: Record, around: Surroundings) -> None:
    """Join all networks, publish the ports, and write down what has become of it."""
    spec = record.spec
    if owns_network(spec):
        await join_all(record, around)
    await asyncio.to_thread(write_files, record, around)
