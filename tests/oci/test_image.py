import hashlib

import pytest

from podling.base.errors import InvalidInput
from podling.oci import digest, image


def test_chain_ids_fold_a_layer_into_all_below_it() -> None:
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    assert image.chain_ids([a, b]) == [a, "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()]
    assert image.chain_id([]) == ""
    assert image.stacked(a, b) == image.chain_id([a, b])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid checksum digest format"),
        ("sha256", "invalid checksum digest format"),
        ("sha256:" + "g" * 64, "invalid checksum digest format"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("sha256:" + "a" * 65, "invalid checksum digest length"),
        ("sha1:" + "a" * 40, "unsupported digest algorithm"),
        ("sha256:../" + "a" * 61, "invalid checksum digest format"),
    ],
)
def test_what_is_no_digest(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        digest.parse(text)
    assert not digest.is_valid(text)


def test_both_algorithms() -> None:
    assert digest.parse(digest.of(b"x"))[0] == "sha256"
    assert digest.is_valid("sha512:" + "a" * 128)
