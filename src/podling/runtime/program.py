"""The OCI runtimes of this machine, and the words they fail with.

crun 1.8 refuses hybrid cgroups (version 1 controllers beside a version 2 tree at /sys/fs/cgroup/unified), but works where that
tree can't be seen: it is started in a mount namespace of its own without it. runc takes hybrid as it is, at three times the cost.
"""

import base64
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from podling.base.errors import InvalidInput, Unsupported
from podling.linux import mount, namespace, seccomp

_BPF_ANNOTATION = "run.oci.seccomp_bpf_data"
CGROUPS = "/sys/fs/cgroup"
UNIFIED = f"{CGROUPS}/unified"


@dataclass(frozen=True, slots=True)
class Program:
    """One OCI runtime. `prepare` runs in the thread that starts it (`podling.linux.process.spawn`).

    `is_crun`: it hands the terminal of an exec in the foreground over by a socket (runc only does so detached), and takes a
    compiled seccomp filter. `leaves_files`: of an ended container it holds its cgroup and the directory of its state, no more.
    """

    path: str
    prepare: Callable[[], None] | None = None
    is_crun: bool = False
    leaves_files: bool = False


def find(name: str = "") -> Program:
    """The runtime called `name` (a word or a path); empty: crun where it works, else runc.

    Raises Unsupported where there is none, InvalidInput for a name that is none.
    """
    if name:
        return _program(name)
    crun = shutil.which("crun")
    if crun and (not is_hybrid() or _can_hide_unified()):
        return _program(crun)
    if shutil.which("runc"):
        return _program("runc")
    raise Unsupported("no OCI runtime found: install crun or runc")


def _program(name: str) -> Program:
    path = shutil.which(name)
    if path is None:
        raise InvalidInput(f"unknown or invalid runtime name: {name}")
    is_crun = Path(path).name == "crun"
    return Program(path, _hide_unified if is_crun and is_hybrid() else None, is_crun, Path(path).name in ("crun", "runc"))


def adapt(chosen: Program, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec as `chosen` runs it fastest: for crun the seccomp filter is compiled once, not anew for each container."""
    profile = spec["linux"].get("seccomp")
    if profile is None or not chosen.is_crun:
        return spec
    try:
        compiled = _compiled(orjson.dumps(profile))
    except seccomp.Incompilable:
        return spec
    # The profile stays in the spec, for a crun that does not know the annotation.
    return {**spec, "annotations": {**spec.get("annotations", {}), _BPF_ANNOTATION: compiled}}


@lru_cache(maxsize=32)
def _compiled(profile: bytes) -> str:
    return base64.b64encode(seccomp.compile_profile(orjson.loads(profile))).decode()


def is_hybrid() -> bool:
    """Whether version 1 controllers and a version 2 tree are mounted side by side."""
    return mount.is_mountpoint(UNIFIED)


def _hide_unified() -> None:
    """All other mounts stay what they are, so that a container's may come and go on the host where it is asked for."""
    namespace.unshare(namespace.CLONE_FS | namespace.CLONE_NEWNS)
    mount.set_propagation(CGROUPS, "rslave")
    mount.umount(UNIFIED, detach=True)


def _can_hide_unified() -> bool:
    try:
        namespace.in_private_mounts(lambda: mount.umount(UNIFIED, detach=True))
    except PermissionError:
        return False
    return True


def explain(words: str, args0: str) -> tuple[str, int]:
    """What a runtime wrote when it could not start a process, in runc's words, and the exit code that shells give for it.

    127: not found, 126: found but can't be run, 128: something else.
    """
    text = _plain(words)
    if re.search(r"executable file.* not found in \$PATH", text):
        return f'exec: "{args0}": executable file not found in $PATH', 127
    if "exec:" in text and "no such file or directory" in text.lower():
        return f'exec: "{args0}": stat {args0}: no such file or directory', 127
    if text.startswith("open executable") or "permission denied" in text.lower():
        return f'exec: "{args0}": permission denied', 126
    if "is a directory" in text.lower() and "exec" in text:
        return f'exec: "{args0}": is a directory', 126
    if match := re.match(r"chdir `(.*)`: (.*)", text):
        return f'chdir to cwd ("{match[1]}") set in config.json failed: {match[2].lower()}', 126
    return text, 128


def _plain(words: str) -> str:
    """The message alone: runc logs `level=error msg="..."` and leads with what it was doing."""
    lines = [line for line in words.strip().splitlines() if line]
    text = lines[-1] if lines else ""
    if match := re.search(r'msg="(.*)"$', text):
        text = match[1].replace('\\"', '"').replace("\\\\", "\\")
    for lead in ("runc create failed: ", "exec failed: ", "unable to start container process: ", "error during container init: "):
        text = text.removeprefix(lead)
    return text


def environment() -> dict[str, str]:
    """What a runtime needs of our environment."""
    return {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
