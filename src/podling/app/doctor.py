"""What this machine has of what podling needs."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from podling.base.errors import Unsupported
from podling.linux import capabilities, cgroup


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `needed`: podling can't do without; `advice`: what to type when it is not good."""

    subject: str
    good: bool
    detail: str
    advice: str = ""
    needed: bool = True


def examine() -> list[Finding]:
    """Every check, in the order in which a start would fail. Runs no program: it is part of each start."""
    return [_root(), *_programs(), *_kernel(), *_clients()]


def require() -> None:
    """Raises Unsupported for the first thing that podling can't do without and this machine has not."""
    for finding in examine():
        if finding.needed and not finding.good:
            raise Unsupported(f"{finding.subject}: {finding.detail}. Try: {finding.advice}. `podling doctor` shows all checks.")


def _root() -> Finding:
    lacking = capabilities.missing()
    detail = f"without {', '.join(f'CAP_{name}' for name in lacking)}" if lacking else f"uid {os.geteuid()}"
    return Finding("root", os.geteuid() == 0 and not lacking, detail, "sudo podling up")


def _programs() -> Iterator[Finding]:
    runtimes = [place for name in ("crun", "runc") if (place := _place(name))]
    yield Finding(
        "OCI runtime", bool(runtimes), ", ".join(runtimes) or "neither crun nor runc is in PATH", "apt-get install crun"
    )
    for name, package in (("conmon", "conmon"), ("nft", "nftables")):
        yield Finding(name, bool(_place(name)), _place(name) or "not in PATH", f"apt-get install {package}")


def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    yield Finding("kernel", numbers >= (5, 10), release, "a kernel of 5.10 or newer: posix_spawn with pidfd, nftables maps")
    known = capabilities.filesystems()
    yield Finding("overlayfs", "overlay" in known, "in the kernel" if "overlay" in known else "not loaded", "modprobe overlay")
    mode = _cgroups()
    yield Finding("cgroups", bool(mode), mode or "not mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    yield Finding("IPv4", forwarding.exists(), "forwarding is switched on by `up`", "a kernel with CONFIG_INET")
    seccomp = "Seccomp:" in Path("/proc/self/status").read_text()
    yield Finding(
        "seccomp", seccomp, "filters" if seccomp else "not in the kernel", "a kernel with CONFIG_SECCOMP_FILTER", needed=False
    )


def _cgroups() -> str:
    try:
        return cgroup.detect().mode
    except FileNotFoundError:
        return ""


def _clients() -> Iterator[Finding]:
    for name, package in (("docker", "docker-cli (docker.io before Debian 13)"), ("kubectl", "kubernetes-client")):
        yield Finding(name, bool(_place(name)), _place(name) or "not in PATH", f"apt-get install {package}", needed=False)


def _place(name: str) -> str:
    """Where a program is, or nothing."""
    return shutil.which(name) or ""
