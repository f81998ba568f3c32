"""atheris on what parses bytes from outside: each target takes bytes and may raise what its docstring names, nothing else.

usage: parsers.py TARGET [option of libFuzzer...]
"""

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

import atheris
import orjson

with atheris.instrument_imports(include=["podling"]):
    from podling.aio import dnswire, framing, spdy_frames, websocket
    from podling.api import decode, patch, selectors, timestamps
    from podling.api.custom import jsonpath, rules
    from podling.api.registry import BUILTIN
    from podling.api.status import ApiError
    from podling.api.strategic import PatchError
    from podling.apiserver import body, protobuf
    from podling.base import quantity
    from podling.base.errors import InvalidInput
    from podling.build import dockerfile, expand, ignore
    from podling.oci import image, platform, reference
    from podling.snapshots import tar

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default", "labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}], "args": ["x"]}]},
}
POD_JSON = orjson.dumps(POD)


@dataclass(frozen=True, slots=True)
class Target:
    """`run` may raise `refusals`; `seeds` is what a corpus begins with."""

    run: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    seeds: tuple[bytes, ...]


def an_object(media: str) -> Callable[[bytes], object]:
    """A body of a media type through decoding, defaulting and validation."""

    def run(data: bytes) -> None:
        obj = body.parse(data, "Pod", media)
        kind = BUILTIN.kind(str(obj.get("apiVersion", "v1")), str(obj.get("kind", "Pod")))
        if kind is None:
            return
        decoded = decode.decoded_as(obj, kind.api_version, kind.kind).obj
        decoded["apiVersion"], decoded["kind"] = kind.api_version, kind.kind
        if not isinstance(decoded.setdefault("metadata", {}), dict):
            return
        kind.default(decoded)
        if not kind.create_only:
            kind.prepare_create(decoded)
        orjson.dumps([error.message for error in kind.errors(decoded)])

    return run


def patches(data: bytes) -> None:
    wanted = orjson.loads(data)
    for apply in (
        lambda: patch.json_patch(POD, wanted),
        lambda: patch.merge(POD, wanted),
        lambda: patch.strategic(POD, wanted, "v1", "Pod"),
    ):
        with contextlib.suppress(ApiError, PatchError):
            orjson.dumps(apply())
    assert orjson.dumps(POD) == POD_JSON


def text_of(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def selector(text: str) -> None:
    with contextlib.suppress(selectors.SelectorError):
        found = selectors.parse(text)
        found.matches({"a": "b"})
        assert str(selectors.parse(str(found))) == str(found)
    selectors.parse_fields(text).matches({"metadata.name": "a"})


def cel(text: str) -> None:
    program = rules.compile_rule(text)
    program.evaluate({"self": {"a": 1, "b": "text", "c": [1, 2]}, "oldSelf": {"a": 1}})


def archive(data: bytes) -> None:
    pieces = iter((data,))
    reader = tar.Reader(tar.Buffer(lambda: next(pieces, b"")))
    for member in reader:
        for _ in reader.data(member):
            pass


def head(data: bytes) -> None:
    parser = framing.HeadParser(1 << 16, 100)
    rest = parser.feed(data)
    if rest is not None:
        framing.request_body(parser.head()).feed(rest)


def archived(*names: bytes) -> bytes:
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name in names:
            info = tarfile.TarInfo(name.decode())
            info.size = 3
            made.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


JSON_PATCH = b'[{"op": "replace", "path": "/spec/containers/0/image", "value": 1}, {"op": "move", "from": "/a", "path": "/b"}]'
STRATEGIC = b'{"spec": {"$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "c", "$patch": "delete"}]}}'
DOCKERFILE = b'# syntax=x\nFROM a AS b\nRUN --mount=type=cache,target=/x <<END\necho\nEND\nCMD ["a"]\nENV A=b C="d e"\n'
REQUEST = b"POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
PROTOBUF = b"k8s\x00\n\n\n\x02v1\x12\x04List\x12\x00"
QUERY = dnswire.encode_query(1, dnswire.Question("a.b.", 1, 1))

TARGETS: dict[str, Target] = {
    "json": Target(an_object("application/json"), (ApiError,), (POD_JSON,)),
    "yaml": Target(
        an_object("application/yaml"), (ApiError,), (b"kind: Pod\nspec:\n  containers:\n  - name: a\n    image: b\n",)
    ),
    "protobuf": Target(an_object(protobuf.MEDIA_TYPE), (ApiError,), (PROTOBUF, PROTOBUF.replace(b"\x04List", b"\x03Pod"))),
    "patches": Target(patches, (ValueError,), (JSON_PATCH, STRATEGIC, b'{"spec": {"containers": null}}')),
    "selectors": Target(text_of(selector), (selectors.SelectorError,), (b"a=b,c in (d,e),!f", b"metadata.name=a,b!=c")),
    "cel": Target(text_of(cel), (rules.RuleError,), (b"self.a < 2 && self.c.all(x, x > 0)", b"'a'.matches('[a-z]+') ? 1 : 2")),
    "tar": Target(archive, (InvalidInput,), (archived(b"a", b"b/" + 120 * b"c"),)),
    "dockerfile": Target(text_of(dockerfile.parse), (InvalidInput,), (DOCKERFILE,)),
    "expand": Target(
        text_of(lambda text: expand.expand(text, {"a": "b"})), (InvalidInput,), (b"${a:-b} $a ${a%%b*} ${a/b/c} 'x' \"y\"",)
    ),
    "ignore": Target(text_of(ignore.compile_pattern), (InvalidInput,), (b"**/a*[!b-c]?\\x",)),
    "reference": Target(text_of(reference.parse), (InvalidInput,), (b"host:5000/a/b:c@sha256:" + 64 * b"0",)),
    "platform": Target(text_of(platform.parse), (InvalidInput,), (b"linux/arm64/v8",)),
    "image": Target(lambda data: (image.parse_config(data), image.parse_manifest(data)), (InvalidInput,), (b'{"rootfs": {}}',)),
    "http": Target(head, (framing.BadMessage,), (REQUEST,)),
    "websocket": Target(lambda data: websocket.Codec(client=False).feed(data), (websocket.WebSocketError,), (b"\x81\x81abcdx",)),
    "spdy": Target(
        lambda data: list(spdy_frames.Decoder().feed(data)), (spdy_frames.SpdyError,), (b"\x80\x03\x00\x06\x00\x00\x00\x04abcd",)
    ),
    "dns": Target(lambda data: (dnswire.parse_query(data), dnswire.parse_message(data)), (dnswire.WireError,), (QUERY,)),
    "quantity": Target(text_of(quantity.parse), (quantity.QuantityError,), (b"1.5Gi", b"1e3", b"-0.1m")),
    "jsonpath": Target(
        text_of(lambda text: jsonpath.compile_path(text)(POD)), (jsonpath.PathError,), (b".spec.containers[*].name",)
    ),
    "time": Target(text_of(timestamps.parse), (ValueError,), (b"2026-01-01T00:00:00Z",)),
}


def main(arguments: list[str]) -> None:
    """Fuzz one target until libFuzzer's options say that it is enough; ends the process."""
    target = TARGETS[arguments[1]]

    def once(data: bytes) -> None:
        with contextlib.suppress(*target.refusals):
            target.run(data)

    for seed in target.seeds:
        once(seed)
    atheris.Setup([arguments[0], *arguments[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
