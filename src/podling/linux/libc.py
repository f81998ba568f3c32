"""The C library, for the system calls that Python's os module lacks."""

import ctypes
import os
from collections.abc import Callable
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

# Numbers since the common table of Linux 5.1 (asm-generic/unistd.h): the same on x86-64 and arm64.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_MOUNT_SETATTR = 442


def function(name: str, *argument_types: Any) -> Callable[..., int]:
    """The function `name` of libc; a result of -1 raises OSError(errno) with the call's `about=` as file name."""
    pointer = _libc[name]
    pointer.argtypes = argument_types
    pointer.restype = ctypes.c_long if name == "syscall" else ctypes.c_int

    def call(*arguments: Any, about: str = name) -> int:
        result: int = pointer(*arguments)
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), about)
        return result

    return call


_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | bytes | ctypes.Array[Any] | None, about: str) -> int:
    """syscall(2). Integers are passed as long, bytes as pointers. Raises OSError with errno and `about`."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _syscall(ctypes.c_long(number), *converted)
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), about)
    return result
