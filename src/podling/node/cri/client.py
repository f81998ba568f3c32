"""Calls of CRI's two services over the runtime's unix socket."""

from collections.abc import Callable
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from podling.base.errors import AlreadyExists, Failed, NotFound, PodlingError, TimedOut, Unavailable
from podling.node.cri.messages import new, type_of

_IMAGES = {"ListImages", "ImageStatus", "PullImage", "RemoveImage"}
_SECONDS = 120.0  # for one call: the kubelet's two minutes
_MOST = 16 << 20  # bytes of one message, as in the kubelet


class CriClient:
    """One connection. `endpoint` is a unix socket's address, as the kubelet takes it: unix:///run/containerd/containerd.sock."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Callable[..., Any]] = {}

    async def call(self, method: str, /, patience: float = _SECONDS, **fields: Any) -> Any:
        """The answer to one call, a message, within `patience` seconds. Raises PodlingError."""
        try:
            return await self._method(method)(new(f"{method}Request", **fields), timeout=patience)
        except grpc.aio.AioRpcError as error:
            raise _error(method, error) from None

    def _method(self, name: str) -> Callable[..., Any]:
        if self._channel is None:
            sizes = [("grpc.max_receive_message_length", _MOST), ("grpc.max_send_message_length", _MOST)]
            # Some runtimes refuse the socket's path as the authority of a request.
            self._channel = grpc.aio.insecure_channel(self.endpoint, [*sizes, ("grpc.default_authority", "localhost")])
        if name not in self._methods:
            service = "ImageService" if name in _IMAGES else "RuntimeService"
            self._methods[name] = self._channel.unary_unary(
                f"/runtime.v1.{service}/{name}",
                request_serializer=lambda message: cast(Message, message).SerializeToString(),
                response_deserializer=type_of(f"{name}Response").FromString,
            )
        return self._methods[name]

    async def close(self) -> None:
        """Safe to call twice; a further call connects again."""
        self._methods.clear()
        if (channel := self._channel) is not None:
            self._channel = None
            await channel.close()


_KINDS: dict[grpc.StatusCode, type[PodlingError]] = {
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


def _error(method: str, error: grpc.aio.AioRpcError) -> PodlingError:
    return _KINDS.get(error.code(), Failed)(f"{method}: {error.details()}")
