import pytest

from podling.base.errors import InvalidInput
from podling.oci import platform
from podling.oci.image import Descriptor, PlatformObject


def offered(digest: str, **fields: str) -> Descriptor:
    entry: Descriptor = {"mediaType": "m", "digest": digest, "size": 1}
    if fields:
        entry["platform"] = PlatformObject(**fields)  # type: ignore[typeddict-item]
    return entry


INDEX = [
    offered("attestation", os="unknown", architecture="unknown"),
    offered("amd64", os="linux", architecture="amd64"),
    offered("arm64", os="linux", architecture="arm64", variant="v8"),
    offered("armv6", os="linux", architecture="arm", variant="v6"),
    offered("armv7", os="linux", architecture="arm", variant="v7"),
]


@pytest.mark.parametrize(
    ("wanted", "digest"),
    [
        ("linux/amd64", "amd64"),
        ("linux/x86_64", "amd64"),
        ("linux/arm64", "arm64"),
        ("linux/aarch64", "arm64"),
        ("linux/arm64/v8", "arm64"),
        ("linux/arm", "armv7"),
        ("linux/arm/v6", "armv6"),
        ("arm64", "arm64"),
        ("linux/s390x", None),
        ("windows/amd64", None),
        ("linux/arm/v5", None),
    ],
)
def test_the_best_entry_of_an_index(wanted: str, digest: str | None) -> None:
    chosen = platform.choose(INDEX, platform.parse(wanted))
    assert (chosen["digest"] if chosen else None) == digest


def test_an_older_variant_runs_on_a_newer_machine() -> None:
    chosen = platform.choose(INDEX[:4], platform.parse("linux/arm/v7"))
    assert chosen is not None
    assert chosen["digest"] == "armv6"


def test_an_entry_without_platform_is_the_last_resort() -> None:
    bare = offered("bare")
    assert platform.choose([bare], platform.parse("linux/amd64")) == bare
    assert platform.choose([bare, *INDEX], platform.parse("linux/amd64")) == INDEX[1]
    assert platform.choose([], platform.parse("linux/amd64")) is None


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "nothing"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(InvalidInput):
        platform.parse(text)


def test_the_host() -> None:
    assert str(platform.of_machine("x86_64")) == "linux/amd64"
    assert str(platform.of_machine("armv7l")) == "linux/arm/v7"
