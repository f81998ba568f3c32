"""How fast an interface sends: a token bucket as its queueing discipline. Source: tc-tbf(8), linux/pkt_sched.h."""

import errno
import struct

from podling.linux import link
from podling.linux.netlink import NLM_F_CREATE, NLM_F_REPLACE, Netlink, attribute, joined, nested, number, text

_RTM_NEWQDISC = 36
_RTM_DELQDISC = 37
_TCA_KIND = 1
_TCA_OPTIONS = 2
_TBF_PARMS = 1
_TBF_RATE64 = 4
_TBF_BURST = 6
_ROOT = 0xFFFFFFFF
_HANDLE = 1 << 16
_MESSAGE = struct.Struct("=BxxxiIII")  # tcmsg: family, interface, handle, parent, info
_RATE = struct.Struct("=BBHhHI")  # tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, bytes in a second
_LINKLAYER_ETHERNET = 1
_MAX_RATE32 = 0xFFFFFFFF

LEAST_BURST = 32 << 10
"""Bytes that leave at once: several frames, also at low rates."""
BURST_SECONDS = 0.01
QUEUE_SECONDS = 0.1
"""How long a byte waits at most; what would wait longer is dropped, so that the sender slows down."""


def limit(net: Netlink, name: str, rate: int) -> None:
    """Let an interface send at most `rate` bytes in a second; anew it changes the rate. Raises OSError."""
    burst = max(LEAST_BURST, int(rate * BURST_SECONDS))
    spec = _RATE.pack(0, _LINKLAYER_ETHERNET, 0, 0, 0, min(rate, _MAX_RATE32))
    queue = min(burst + int(rate * QUEUE_SECONDS), _MAX_RATE32)
    parameters = spec + bytes(_RATE.size) + struct.pack("=III", queue, 0, 0)
    options = joined(
        [
            attribute(_TBF_PARMS, parameters),
            attribute(_TBF_RATE64, struct.pack("=Q", rate)) if rate > _MAX_RATE32 else None,
            number(_TBF_BURST, min(burst, _MAX_RATE32)),
        ]
    )
    body = _header(net, name) + text(_TCA_KIND, "tbf") + nested(_TCA_OPTIONS, options)
    net.ask(_RTM_NEWQDISC, body, NLM_F_CREATE | NLM_F_REPLACE, about=name)


def unlimit(net: Netlink, name: str) -> None:
    """Lift the limit of an interface; nothing if it has none. Raises OSError."""
    try:
        net.ask(_RTM_DELQDISC, _header(net, name), about=name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):  # the default discipline can't be deleted
            raise


def _header(net: Netlink, name: str) -> bytes:
    return _MESSAGE.pack(0, link.index(net, name), _HANDLE, _ROOT, 0)
