"""Port-forward: TCP connections into a pod. Over SPDY a pair of streams a connection, `data` and `error`, also with SPDY inside
of a WebSocket (`SPDY/3.1+portforward.k8s.io`); over plain WebSocket one connection a port that the query names.

Source: k8s.io/kubelet's portforward; KEP-4006.
"""

import struct
from collections.abc import Awaitable, Callable

from podling.aio import pump, websocket
from podling.aio.http import ByteStream, Request
from podling.aio.spdy import SpdyConnection, SpdyStream
from podling.aio.tasks import Tasks
from podling.aio.websocket import MessageStream, WebSocket
from podling.base.errors import InvalidInput, PodlingError
from podling.node.kubelet.remote import accept_spdy, is_spdy

PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
_WEBSOCKET_PROTOCOLS = (TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io")

Dial = Callable[[int], Awaitable[ByteStream]]


async def serve(request: Request, dial: Dial) -> None:
    """Forward until the client goes. `dial` connects to a port of the pod."""
    if is_spdy(request):
        connection, _ = await accept_spdy(request, (PROTOCOL,))
        await _over_spdy(connection, dial)
        return
    ports = [int(port) for value in request.query.all("ports") + request.query.all("port") for port in value.split(",") if port]
    if not ports and TUNNEL not in websocket.offered(request):
        raise InvalidInput("query parameter 'ports' is required")
    socket = await websocket.accept(request, _WEBSOCKET_PROTOCOLS)
    if socket.protocol == TUNNEL:
        await _over_spdy(SpdyConnection(MessageStream(socket), server=True), dial)
    else:
        await _over_websocket(socket, ports, dial)


async def _over_spdy(connection: SpdyConnection, dial: Dial) -> None:
    waiting: dict[str, SpdyStream] = {}
    async with connection, Tasks("port-forward") as tasks:
        while (stream := await connection.accept()) is not None:
            key = stream.headers.get("requestid") or stream.headers.get("port")
            other = waiting.pop(key, None)
            if other is None:
                waiting[key] = stream
                continue
            pair = {each.headers.get("streamtype"): each for each in (stream, other)}
            if pair.keys() == {"data", "error"}:
                tasks.start(_forward(pair["data"], pair["error"], dial), f"port {stream.headers.get('port')}")
            else:
                stream.refuse()
                other.refuse()


async def _forward(data: SpdyStream, error: SpdyStream, dial: Dial) -> None:
    port = data.headers.get("port")
    try:
        target = await dial(int(port))
    except (PodlingError, OSError, ValueError) as failure:
        error.write(f"error forwarding port {port} to pod: {failure}".encode())
        error.write_eof()
        await data.close()
        return
    error.write_eof()
    await pump.join(data, target)


async def _over_websocket(socket: WebSocket, ports: list[int], dial: Dial) -> None:
    """Channel 2n is the data of the nth port, 2n+1 its error; each begins with the port, two bytes, low byte first."""
    targets: dict[int, ByteStream] = {}
    async with Tasks("port-forward") as tasks:
        try:
            for number, port in enumerate(ports):
                for channel in (2 * number, 2 * number + 1):
                    socket.send(bytes([channel]) + struct.pack("<H", port))
                try:
                    targets[2 * number] = await dial(port)
                except (PodlingError, OSError) as failure:
                    socket.send(bytes([2 * number + 1]) + f"error forwarding port {port} to pod: {failure}".encode())
                    continue
                tasks.start(_back(socket, 2 * number, targets[2 * number]), f"port {port}")
            while (message := await socket.receive()) is not None:
                target = targets.get(message.data[0]) if message.data else None
                if target is not None and len(message.data) > 1:
                    target.write(message.data[1:])
                    await target.drain()
        except ConnectionError:
            return
        finally:
            for target in targets.values():
                await target.close()
            await socket.close()


async def _back(socket: WebSocket, channel: int, target: ByteStream) -> None:
    while data := await target.read():
        socket.send(bytes([channel]) + data)
        await socket.drain()
    socket.say_close()
