"""Protobuf bodies: real messages of kubectl, and bytes that are none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.apiserver.protobuf import ProtobufError, decode

# What `kubectl create configmap a --from-literal=x=1` sends.
CONFIG_MAP = (
    b'k8s\0\n\x0f\n\x02v1\x12\tConfigMap\x12\x1b\n\x11\n\x01a\x12\0\x1a\0"\0*\x002\x008\0B\0\x12\x06\n\x01x\x12\x011\x1a\0"\0'
)


def field(number: int, payload: bytes | int) -> bytes:
    """One field on the wire."""
    if isinstance(payload, int):
        return bytes([number << 3]) + varint(payload)
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(api_version: str, kind: str, body: bytes) -> bytes:
    named = field(1, api_version.encode()) + field(2, kind.encode())
    return b"k8s\0" + field(1, named) + field(2, body)


def test_a_config_map_as_kubectl_sends_it() -> None:
    assert decode(CONFIG_MAP) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}


def test_inlined_messages_numbers_quantities_and_times() -> None:
    secret = field(1, b"v") + field(2, field(6, field(1, b"s") + field(3, 420)))  # Volume{name, VolumeSource{secret}}
    port = field(1, field(1, 0) + field(2, 8080))  # TCPSocketAction{IntOrString}
    probe = field(1, field(3, port)) + field(2, 5)  # Probe{ProbeHandler{tcpSocket}, initialDelaySeconds}
    limits = field(1, field(1, b"cpu") + field(2, field(1, b"500m")))
    container = field(1, b"main") + field(8, limits) + field(10, probe)
    spec = field(1, secret) + field(2, container) + field(4, 0) + field(5, -1)
    status = field(7, field(1, 1_700_000_000))
    pod = decode(message("v1", "Pod", field(1, field(1, b"p")) + field(2, spec) + field(3, status)))
    assert pod["spec"] == {
        "volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}],
        "containers": [
            {
                "name": "main",
                "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 5},
            }
        ],
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": -1,
    }
    assert pod["status"] == {"startTime": "2023-11-14T22:13:20Z"}


def test_bytes_become_base64_and_delete_options_have_no_version() -> None:
    secret = decode(message("v1", "Secret", field(2, field(1, b"a") + field(2, b"b"))))
    assert secret["data"] == {"a": "Yg=="}
    options = decode(message("apps/v1", "DeleteOptions", field(1, 0) + field(4, b"Orphan")))
    assert options == {
        "apiVersion": "apps/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Orphan",
    }


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{}", "does not appear to be a protobuf message"),
        (message("v1", "Nothing", b""), 'no kind "Nothing" is registered for version "v1"'),
        (CONFIG_MAP[:-1], "unexpected EOF"),
        (message("v1", "ConfigMap", field(1, 3)), "wrong wireType"),
        (message("v1", "ConfigMap", field(1, field(1, b"\xff"))), "not UTF-8"),
        (message("v1", "ConfigMap", b"\x0b"), "illegal wireType 3"),
    ],
)
def test_what_is_no_message(data: bytes, words: str) -> None:
    with pytest.raises(ProtobufError, match=words):
        decode(data)


@given(st.binary(max_size=80), st.sampled_from(["Pod", "ConfigMap", "Deployment", "Secret", "Service"]))
def test_any_bytes_decode_or_are_refused(body: bytes, kind: str) -> None:
    with suppress(ProtobufError):
        decode(message("apps/v1" if kind == "Deployment" else "v1", kind, body))
