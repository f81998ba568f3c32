"""Images made on the spot from the host's static busybox: deterministic, no network.

`busybox_archive()` is what `docker save busybox` would write; `docker_archive` makes one of any layers.
"""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

BUSYBOX = "/bin/busybox"
CREATED = "2024-01-01T00:00:00Z"

_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, mode: int = 0o644, link: str = "", **fields: Any) -> tarfile.TarInfo:
    """A tar header owned by root and dated at the epoch; `fields` are further attributes of TarInfo (uid, mtime, pax_headers)."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def layer(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """An uncompressed layer tar of the given headers and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def files_layer(files: Mapping[str, bytes]) -> bytes:
    """A layer of plain files, path → content; parent directories are implied."""
    return layer((entry(name), data) for name, data in files.items())


@cache
def busybox_layer() -> bytes:
    """/bin/busybox with a hard link for each applet, accounts for root and nobody, and an empty system tree."""
    with open(BUSYBOX, "rb") as file:
        program = file.read()
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True, timeout=10).stdout.split()
    members = [(entry(name, tarfile.DIRTYPE, mode=mode), b"") for name, mode in _DIRECTORIES.items()]
    members.append((entry("bin/busybox", mode=0o755), program))
    links = [f"bin/{name}" for name in sorted({*applets, "sh"} - {"busybox"})] + ["usr/bin/env"]
    members += [(entry(name, tarfile.LNKTYPE, mode=0o755, link="bin/busybox"), b"") for name in links]
    members += [(entry("etc/passwd"), _PASSWD), (entry("etc/group"), _GROUP)]
    return layer(members)


def image_config(layers: Sequence[bytes], config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The image configuration (OCI image-spec, config.md) of uncompressed `layers`; `config` is its execution part."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in layers]},
        "history": [{"created": CREATED, "created_by": f"/bin/sh -c #(nop) ADD layer {number}"} for number in range(len(layers))],
    }


def docker_archive(layers: Sequence[bytes], references: Sequence[str], config: Mapping[str, Any] | None = None) -> bytes:
    """A tar as `docker save` writes it (before version 25): manifest.json, the configuration, one tar a layer."""
    image = json.dumps(image_config(layers, config), sort_keys=True).encode()
    names = [f"{hashlib.sha256(tar).hexdigest()}/layer.tar" for tar in layers]
    config_name = f"{hashlib.sha256(image).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": list(references), "Layers": names}]
    contents = {config_name: image, **dict(zip(names, layers, strict=True)), "manifest.json": json.dumps(manifest).encode()}
    return layer((entry(name), data) for name, data in contents.items())


@cache
def busybox_archive(*references: str) -> bytes:
    """A docker-archive tar of a one-layer busybox image, tagged `references` (default busybox:latest)."""
    return docker_archive([busybox_layer()], references or ("busybox:latest",))
