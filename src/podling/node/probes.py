"""Runs probes: a command in the container, an HTTP GET, a TCP connection, or a gRPC health check.

HTTP, TCP and gRPC go from the host to the pod's address. What the results mean is decided in `pod.probing`.
Source: core/v1 Probe; Kubernetes, "Configure Liveness, Readiness and Startup Probes".
"""

import asyncio
import contextlib
import logging
import ssl
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.base.errors import PodlingError, TimedOut, Unsupported
from podling.node.pod.events import Probed
from podling.node.pod.spec import Object, container_of, probe_of
from podling.node.pod.state import ProbeKind, State
from podling.node.runtime import PodRuntime
from podling.node.tally import Tally

log = logging.getLogger(__name__)

_OUTPUT_MOST = 1024  # characters of a probe's output that an event carries
_HEAD_MOST = 16 << 10
_AGENT = "kube-probe/1.36"

Wanted = tuple[str, str, ProbeKind]


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    output: str = ""


class ProbeRunner:
    """The probes of one pod: one task for each that is wanted."""

    def __init__(self, runtime: PodRuntime, clock: Clock, tasks: Tasks, post: Callable[[Probed], None]) -> None:
        self._runtime = runtime
        self._clock = clock
        self._tasks = tasks
        self._post = post
        self._running: dict[Wanted, asyncio.Task[None]] = {}
        self.tallies: defaultdict[tuple[str, ProbeKind], Tally] = defaultdict(Tally)

    def align(self, wanted: set[Wanted], state: State) -> None:
        """Run exactly these from now on."""
        for gone in self._running.keys() - wanted:
            self._running.pop(gone).cancel()
        for new in wanted - self._running.keys():
            started = state.container(new[0]).started_at
            address = state.addresses[0] if state.addresses else ""
            self._running[new] = self._tasks.start(self._repeat(new, state.pod, address, started), f"{new[2]} probe of {new[0]}")

    async def _repeat(self, wanted: Wanted, pod: Object, address: str, started: float) -> None:
        name, id, kind = wanted
        container = container_of(pod, name)
        probe = probe_of(container, kind) or {}
        delay = float(probe.get("initialDelaySeconds") or 0)
        await self._clock.sleep(min(max(0.0, started + delay - self._clock.now()), delay))  # the wall clock may have been set
        while True:
            began = self._clock.monotonic()
            verdict = await self.run_once(probe, container, id, address)
            took = self._clock.monotonic() - began
            self.tallies[name, kind].add(verdict.ok, took)
            self._post(Probed(name, id, kind, verdict.ok, verdict.output))
            await self._clock.sleep(max((probe.get("periodSeconds") or 10) - took, 0.0))

    async def run_once(self, probe: Object, container: Object, id: str, address: str) -> Verdict:
        """One attempt; whatever goes wrong is a failure with its words."""
        timeout = float(probe.get("timeoutSeconds") or 1)
        try:
            async with asyncio.timeout(timeout):
                return await self._attempt(probe, container, id, address, timeout)
        except (TimeoutError, TimedOut):
            return Verdict(False, _late(probe, container, address, timeout))
        except (OSError, PodlingError, EOFError, ValueError) as error:
            return Verdict(False, str(error)[:_OUTPUT_MOST])

    async def _attempt(self, probe: Object, container: Object, id: str, address: str, timeout: float) -> Verdict:
        if action := probe.get("exec"):
            done = await self._runtime.run(id, tuple(action["command"]), timeout)
            return Verdict(done.code == 0, done.output[:_OUTPUT_MOST].decode(errors="replace").strip())
        if action := probe.get("httpGet"):
            status = await http_get(action, container, address)
            return Verdict(200 <= status < 400, f"HTTP probe failed with statuscode: {status}")
        if action := probe.get("tcpSocket"):
            return await _tcp(action.get("host") or address, port_of(container, action["port"]))
        if action := probe.get("grpc"):
            return await _grpc(address, int(action["port"]), action.get("service") or "", timeout)
        return Verdict(True)


def _late(probe: Object, container: Object, address: str, timeout: float) -> str:
    """What the kubelet says of a probe that had no answer in its time."""
    if action := probe.get("exec"):
        return f'command timed out: "{" ".join(action["command"])}" timed out after {timeout:g}s'
    if action := probe.get("httpGet"):
        scheme, host = (action.get("scheme") or "HTTP").lower(), action.get("host") or address
        url = f"{scheme}://{host}:{port_of(container, action['port'])}{action.get('path') or '/'}"
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    if action := probe.get("tcpSocket"):
        return f"dial tcp {action.get('host') or address}:{port_of(container, action['port'])}: i/o timeout"
    return f'timeout: failed to connect service "{address}:{(probe.get("grpc") or {}).get("port")}" within {timeout:g}s'


def port_of(container: Object, port: int | str) -> int:
    """A port by number, or by its name among the container's ports. Raises ValueError."""
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    for declared in container.get("ports") or []:
        if declared.get("name") == port:
            return int(declared["containerPort"])
    raise ValueError(f"couldn't find port: {port} in container {container['name']}")


async def http_get(action: Object, container: Object, address: str) -> int:
    """GET as an HTTPGetAction says; the status code. Certificates aren't verified, as a pod's name isn't in them."""
    host, port = action.get("host") or address, port_of(container, action["port"])
    headers = {header["name"].lower(): header["value"] for header in action.get("httpHeaders") or []}
    headers = {"host": f"{host}:{port}", "user-agent": _AGENT, "accept": "*/*", "connection": "close"} | headers
    lines = [f"GET {action.get('path') or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    context = _unverified() if (action.get("scheme") or "HTTP").upper() == "HTTPS" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_HEAD_MOST)
    try:
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        return _status_code(await reader.readline())
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _status_code(line: bytes) -> int:
    match line.split(None, 2):
        case [version, code, *_] if version.startswith(b"HTTP/1.") and code.isdigit():
            return int(code)
    raise ValueError(f"malformed HTTP response: {line[:80]!r}")


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # create_default_context would read all authorities of the machine
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _tcp(host: str, port: int) -> Verdict:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    return Verdict(True)


async def _grpc(host: str, port: int, service: str, timeout: float) -> Verdict:
    """grpc.health.v1.Health/Check. Its messages are small enough to be packed by hand: field 1 is a string, or an enum."""
    try:
        import grpc.aio
    except ImportError:
        raise Unsupported("gRPC probes need the package grpcio: pip install 'podling[grpc]'") from None
    name = service.encode()
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        try:
            answer: bytes = await channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=timeout)
        except grpc.RpcError as error:
            return Verdict(False, f"error: health rpc probe failed: {error.details()}")
    return Verdict(answer == b"\x08\x01", f"service unhealthy (responded with {answer[1] if len(answer) > 1 else 0})")
