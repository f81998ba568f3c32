"""The default seccomp profile, and profiles in Docker's JSON shape, as the OCI runtime spec's `linux.seccomp`. Pure.

The lists are the facts of Docker's published default profile (version 28): what is not named fails with EPERM. Names that the
host's libseccomp does not know are passed over by the runtimes.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from podling.base.errors import InvalidInput

_ALLOWED = """
_llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list
get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch
inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown
lchown32 lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise
map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2
mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64
preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid
setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask
sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit
umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie lsm_get_self_attr "
        "lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd "
        "setdomainname sethostname setns statmount syslog umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
}

# GOARCH → further system calls, and the architectures whose calls the filter must know.
_BY_ARCHITECTURE = {
    "amd64": "arch_prctl modify_ldt",
    "386": "modify_ldt",
    "arm64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    "arm": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    "ppc64le": "swapcontext sync_file_range2",
    "riscv64": "riscv_flush_icache riscv_hwprobe",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}
_ARCHITECTURES = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "386": ("SCMP_ARCH_X86",),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "arm": ("SCMP_ARCH_ARM",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}

_AF_VSOCK = 40
_ENOSYS = 38
_EPERM = 1
# personality(2): Linux, a 32-bit uname, ADDR_NO_RANDOMIZE's companions that harm nobody, and the query.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# CLONE_NEW* of clone(2): no new namespaces without CAP_SYS_ADMIN.
_NAMESPACE_FLAGS = 0x7E020000


@cache
def default_profile(capabilities: frozenset[str], architecture: str) -> dict[str, Any]:
    """The default filter for a container with these capabilities ("CAP_X") on `architecture` (GOARCH). Shared: do not edit."""
    allowed = set(_ALLOWED.split()) | set(_BY_ARCHITECTURE.get(architecture, "").split())
    for capability, names in _BY_CAPABILITY.items():
        if capability in capabilities:
            allowed.update(names.split())
    syscalls = [_rule(sorted(allowed)), _rule(["socket"], (0, _AF_VSOCK, "SCMP_CMP_NE"))]
    syscalls += [_rule(["personality"], (0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        flags_index = 1 if architecture == "s390x" else 0
        syscalls.append(_rule(["clone"], (flags_index, 0, "SCMP_CMP_MASKED_EQ", _NAMESPACE_FLAGS)))
        # ENOSYS makes the C library fall back to clone, whose flags can be looked at.
        syscalls.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": list(_ARCHITECTURES.get(architecture, ())),
        "syscalls": syscalls,
    }


def _rule(names: list[str], *arguments: tuple[Any, ...]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if arguments:
        rule["args"] = [_argument(*argument) for argument in arguments]
    return rule


def _argument(index: int, value: int, operator: str, mask: int | None = None) -> dict[str, Any]:
    # With a masked comparison `value` is the mask and `valueTwo` what must remain (config-linux.md, "seccomp").
    if mask is not None:
        return {"index": index, "value": mask, "valueTwo": value, "op": operator}
    return {"index": index, "value": value, "op": operator}


def translate(profile: Mapping[str, Any], capabilities: frozenset[str], architecture: str) -> dict[str, Any]:
    """A profile in Docker's JSON shape (archMap, includes and excludes, name or names) for one container.

    Raises InvalidInput naming the field that is wrong.
    """
    if not profile.get("defaultAction"):
        raise InvalidInput("seccomp profile: defaultAction is missing")
    if profile.get("architectures") and profile.get("archMap"):
        raise InvalidInput("seccomp profile: use either 'architectures' or 'archMap'")
    result: dict[str, Any] = {"defaultAction": profile["defaultAction"], "architectures": _architectures(profile, architecture)}
    for key in ("defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            result[key] = profile[key]
    result["syscalls"] = [
        _translate_rule(rule) for rule in profile.get("syscalls") or () if _applies(rule, capabilities, architecture)
    ]
    return result


def _architectures(profile: Mapping[str, Any], architecture: str) -> list[str]:
    if profile.get("architectures"):
        return list(profile["architectures"])
    native = _ARCHITECTURES.get(architecture, ("",))[0]
    for entry in profile.get("archMap") or ():
        if entry.get("architecture") == native:
            return [native, *(entry.get("subArchitectures") or ())]
    return []


def _applies(rule: Mapping[str, Any], capabilities: frozenset[str], architecture: str) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if _any(excludes.get("caps"), capabilities) or architecture in (excludes.get("arches") or ()):
        return False
    if not set(includes.get("caps") or ()) <= capabilities:
        return False
    return not includes.get("arches") or architecture in includes["arches"]


def _any(names: Iterable[str] | None, of: frozenset[str]) -> bool:
    return any(name in of for name in names or ())


def _translate_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = list(rule.get("names") or ([rule["name"]] if rule.get("name") else []))
    if not names or not rule.get("action"):
        raise InvalidInput("seccomp profile: a syscall rule needs names and an action")
    result: dict[str, Any] = {"names": names, "action": rule["action"]}
    for key in ("errnoRet", "args"):
        if rule.get(key):
            result[key] = rule[key]
    return result
