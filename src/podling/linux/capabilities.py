"""What this process may do, and what this kernel can: for `doctor` and for tests that need it. Source: capabilities(7)."""

from pathlib import Path

# In the kernel's order, linux/capability.h.
NAMES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
)

# What the engine can't do without.
NEEDED = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "MKNOD", "NET_ADMIN", "SETGID", "SETUID", "SYS_ADMIN", "SYS_CHROOT")


def parse(mask: int) -> frozenset[str]:
    """The names of the bits, without "CAP_"; bits beyond the table are numbers."""
    return frozenset(NAMES[bit] if bit < len(NAMES) else str(bit) for bit in range(mask.bit_length()) if mask >> bit & 1)


def _mask(field: str) -> int:
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == field:
            return int(value, 16)
    return 0


def effective() -> frozenset[str]:
    """What this process may do now."""
    return parse(_mask("CapEff"))


def bounding() -> frozenset[str]:
    """What this process can hand to a child at most: no container gets a capability beyond this."""
    return parse(_mask("CapBnd"))


def missing(needed: tuple[str, ...] = NEEDED) -> list[str]:
    """The capabilities that are needed and lacking, in the order of `needed`."""
    have = effective()
    return [name for name in needed if name not in have]


def filesystems() -> frozenset[str]:
    """The file systems that the kernel knows now (a module may add one when it is first mounted)."""
    return frozenset(line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines())
