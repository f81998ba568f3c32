"""Devices of the host: those that a container is given, and those whose traffic it has limits for."""

import os
import stat

from podling.base.errors import InvalidInput
from podling.engine.types import ContainerSpec
from podling.runtime.spec import DeviceNode, block_devices
from podling.runtime.types import Device, Resources


def devices_of(spec: ContainerSpec) -> list[DeviceNode]:
    given = [node for device in spec.resources.devices for node in _device_nodes(device)]
    if not spec.security.privileged:
        return given
    taken = {node.path for node in given}
    return given + [node for node in _device_nodes(Device("/dev", "/dev")) if node.path not in taken and _is_hosts_own(node.path)]


def _is_hosts_own(path: str) -> bool:
    """A device of the machine, not one that every container has for itself."""
    return path not in ("/dev/console", "/dev/ptmx") and not path.startswith(("/dev/pts/", "/dev/shm/", "/dev/mqueue/"))


def _device_nodes(device: Device) -> list[DeviceNode]:
    """The node itself, or all below a directory. Raises InvalidInput for what is none."""
    try:
        if os.path.isdir(device.source):
            return [
                node
                for directory, _, names in os.walk(device.source)
                for name in names
                if (node := _node(os.path.join(directory, name), device)) is not None
            ]
        node = _node(device.source, device)
    except FileNotFoundError:
        node = None
    if node is None:
        raise InvalidInput(f'error gathering device information while adding custom device "{device.source}": not a device node')
    return [node]


def _node(source: str, device: Device) -> DeviceNode | None:
    status = os.lstat(source) if os.path.isdir(device.source) else os.stat(source)
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    target = device.target + source[len(device.source) :]
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
    numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
    mode = stat.S_IMODE(status.st_mode)
    return DeviceNode(target, kind, *numbers, mode, status.st_uid, status.st_gid, device.permissions)


def block_numbers(limits: Resources) -> dict[str, tuple[int, int]]:
    """Major and minor of the block devices that have limits. Raises InvalidInput for what is none."""
    return {path: _block_number(path) for path in block_devices(limits)}


def _block_number(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path} is not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)
