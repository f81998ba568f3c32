from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.linux.seccomp import Incompilable, compile_profile
from podling.runtime.capability import ALL, DEFAULT
from podling.runtime.seccomp import default_profile, translate

PLAIN = frozenset(DEFAULT)


def names(profile: dict[str, Any], action: str = "SCMP_ACT_ALLOW") -> set[str]:
    return {name for rule in profile["syscalls"] if rule["action"] == action and "args" not in rule for name in rule["names"]}


def test_the_default_allows_what_programs_need_and_no_more() -> None:
    profile = default_profile(PLAIN, "amd64")
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert profile["architectures"][0] == "SCMP_ARCH_X86_64"
    assert {"read", "openat2", "clone", "chroot", "arch_prctl"} <= names(profile) | {"clone"}
    assert not {"mount", "bpf", "unshare", "kexec_load", "io_uring_setup", "keyctl", "reboot"} & names(profile)
    assert names(profile, "SCMP_ACT_ERRNO") == {"clone3"}


@pytest.mark.parametrize(
    ("capability", "name"),
    [("CAP_SYS_ADMIN", "mount"), ("CAP_SYS_PTRACE", "kcmp"), ("CAP_SYS_TIME", "settimeofday"), ("CAP_SYSLOG", "syslog")],
)
def test_capabilities_open_calls(capability: str, name: str) -> None:
    assert name in names(default_profile(PLAIN | {capability}, "amd64"))
    assert name not in names(default_profile(PLAIN, "amd64"))


def test_architectures() -> None:
    assert "set_tls" in names(default_profile(PLAIN, "arm64"))
    assert "arch_prctl" not in names(default_profile(PLAIN, "arm64"))


def test_a_profile_in_dockers_shape() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"name": "write", "action": "SCMP_ACT_ALLOW"},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        ],
    }
    plain = translate(profile, PLAIN, "amd64")
    assert plain["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert names(plain) == {"read", "write"}
    assert names(plain, "SCMP_ACT_ERRNO") == {"clone3"}
    assert names(translate(profile, frozenset(ALL), "amd64")) == {"read", "write", "mount"}


@pytest.mark.parametrize("profile", [{}, {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": []}]}])
def test_a_broken_profile_is_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="seccomp profile: "):
        translate(profile, PLAIN, "amd64")


def test_the_default_compiles_to_bpf() -> None:
    program = compile_profile(default_profile(PLAIN, "amd64"))
    assert len(program) % 8 == 0
    assert len(program) // 8 > 300


def test_what_is_the_runtimes_is_left_to_it() -> None:
    with pytest.raises(Incompilable):
        compile_profile({"defaultAction": "SCMP_ACT_NOTIFY"})
    with pytest.raises(Incompilable):
        compile_profile({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"})
