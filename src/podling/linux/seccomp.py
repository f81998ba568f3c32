"""Seccomp filters compiled by libseccomp, which every OCI runtime brings along.

A runtime compiles its container's filter anew each time, which takes 10-20 ms; crun also takes a compiled one.
Source: seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3); OCI runtime-spec, config-linux.md, "seccomp".
"""

import ctypes
import ctypes.util
import errno
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ATTRIBUTE_NO_NEW_PRIVILEGES = 3
_ATTRIBUTE_OPTIMIZE = 8
_BINARY_TREE = 2
_UNKNOWN = -1


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("one", ctypes.c_uint64),
        ("two", ctypes.c_uint64),
    )


class Incompilable(Exception):
    """The host has no libseccomp, or the profile has something that is not compiled here: leave it to the runtime."""


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError as error:
        raise Incompilable(str(error)) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_attr_set.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    )
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    return library


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """The BPF program of an OCI `linux.seccomp`, as seccomp(2) takes it. Raises Incompilable, InvalidInput never."""
    if profile.get("flags") or profile.get("listenerPath"):
        raise Incompilable("flags and listeners are the runtime's")
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    if not context:
        raise Incompilable("seccomp_init failed")
    try:
        _check(library.seccomp_attr_set(context, _ATTRIBUTE_NO_NEW_PRIVILEGES, 0), "no_new_privileges")
        # Older libraries only have lists, which are slower, not wrong.
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)
        for name in profile.get("architectures") or ():
            _add_architecture(library, context, name)
        for rule in profile.get("syscalls") or ():
            _add_rule(library, context, rule, default)
        return _export(library, context)
    finally:
        library.seccomp_release(context)


def _action(name: str, number: int | None) -> int:
    try:
        action = _ACTIONS[name]
    except KeyError:
        raise Incompilable(f"action {name}") from None
    return action | (errno.EPERM if number is None else number) if name in _WITH_NUMBER else action


def _add_architecture(library: ctypes.CDLL, context: int, name: str) -> None:
    token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    if not token:
        raise Incompilable(f"architecture {name}")
    code = library.seccomp_arch_add(context, token)
    if code != -errno.EEXIST:
        _check(code, name)


def _add_rule(library: ctypes.CDLL, context: int, rule: Mapping[str, Any], default: int) -> None:
    action = _action(rule["action"], rule.get("errnoRet"))
    if action == default:
        return
    arguments = [_comparison(argument) for argument in rule.get("args") or ()]
    if len({argument.argument for argument in arguments}) < len(arguments):
        raise Incompilable("several comparisons of one argument")
    array = (_Comparison * len(arguments))(*arguments)
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN:
            _check(library.seccomp_rule_add_array(context, action, number, len(arguments), array), name)


def _comparison(argument: Mapping[str, Any]) -> _Comparison:
    try:
        operator = _OPERATORS[argument["op"]]
    except KeyError:
        raise Incompilable(f"operator {argument['op']}") from None
    return _Comparison(argument["index"], operator, argument["value"], argument.get("valueTwo", 0))


def _export(library: ctypes.CDLL, context: int) -> bytes:
    memory = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(library.seccomp_export_bpf(context, memory), "seccomp_export_bpf")
        size = os.lseek(memory, 0, os.SEEK_CUR)
        return os.pread(memory, size, 0)
    finally:
        os.close(memory)


def _check(code: int, about: str) -> None:
    if code < 0:
        raise Incompilable(f"{about}: {os.strerror(-code)}")
