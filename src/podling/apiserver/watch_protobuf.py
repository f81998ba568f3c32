"""Watch events in protobuf, for clients that take nothing else: messages with their length before them.

Source: Kubernetes API concepts, "Kubernetes Protobuf encoding"; meta/v1 WatchEvent; k8s.io/apimachinery util/framer.
"""

import struct

import orjson

from podling.aio.http import frame_chunk
from podling.api.kind import Kind
from podling.api.schema import schemas
from podling.api.status import not_acceptable
from podling.apiserver.negotiation import JSON, YAML, MediaType
from podling.apiserver.protobuf_encode import encode
from podling.apiserver.protobuf_fields import MEDIA_TYPE
from podling.apiserver.wire import block, text

STREAM = f"{MEDIA_TYPE};stream=watch"


def check(kind: Kind, media: MediaType) -> None:
    """Raises 406 for kinds that have no protobuf form."""
    if not media.shape and schemas().of_kind(kind.api_version, kind.kind) is None:
        raise not_acceptable((JSON, YAML))


def protobuf_frame(kind: str, data: bytes) -> bytes:
    """The event of type `kind` about the object whose JSON is `data`, as one chunk."""
    encoded = encode(orjson.loads(data))
    assert encoded is not None, kind
    event = text(1, kind) + block(2, block(1, encoded))
    return frame_chunk(struct.pack(">I", len(event)) + event)
