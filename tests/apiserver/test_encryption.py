"""Secrets on disk: unreadable without the key, read with an old one, written with the first."""

import asyncio
import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.core.secret import SECRET
from podling.api.objects import Object
from podling.apiserver.encryption import Encryption, Undecipherable, fresh_configuration, read
from podling.apiserver.storage import Storage
from podling.app.encryption import open_encryption
from podling.base.errors import InvalidInput
from podling.store.sqlite import SqliteStore

SECRETS = ("", "secrets")
WORD = "correct-horse-battery-staple"


def key(name: str) -> Object:
    return {"name": name, "secret": base64.b64encode(secrets.token_bytes(32)).decode()}


def configured(*providers: Object) -> Encryption:
    found = {**fresh_configuration(), "resources": [{"resources": ["secrets"], "providers": list(providers)}]}
    return read(orjson.dumps(found), "here")


def aesgcm(*keys: Object) -> Object:
    return {"aesgcm": {"keys": list(keys)}}


OLD, NEW = key("old"), key("new")
PLAIN: Object = {"identity": {}}


@given(st.binary(max_size=200))
def test_what_is_sealed_opens(value: bytes) -> None:
    encryption = configured(aesgcm(NEW))
    sealed = encryption.seal(SECRETS, "ns/a", value)
    assert sealed.startswith(b"k8s:enc:aesgcm:v1:new:")
    assert encryption.open(SECRETS, "ns/a", sealed) == value
    assert not encryption.stale
    with pytest.raises(Undecipherable):
        encryption.open(SECRETS, "ns/b", sealed)  # in another's place
    with pytest.raises(Undecipherable):
        encryption.open(SECRETS, "ns/a", sealed[:-1])


def test_other_resources_are_as_they_are() -> None:
    assert configured(aesgcm(NEW)).seal(("", "configmaps"), "ns/a", b"x") == b"x"


def test_an_old_key_reads_and_is_told_of() -> None:
    sealed = configured(aesgcm(OLD)).seal(SECRETS, "ns/a", b"x")
    both = configured(aesgcm(NEW, OLD), PLAIN)
    assert both.open(SECRETS, "ns/a", sealed) == b"x"
    assert both.open(SECRETS, "ns/b", b"{}") == b"{}"
    assert both.stale == [(SECRETS, "ns/a"), (SECRETS, "ns/b")]
    with pytest.raises(Undecipherable) as error:
        configured(aesgcm(NEW), PLAIN).open(SECRETS, "ns/a", sealed)
    assert "secrets ns/a: no key opens it" in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "shape"),
        (b"{", "neither JSON nor YAML"),
        (b"kind: Pod", "kind is not EncryptionConfiguration"),
        (b"kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{kms: {}}]}]", "kms is not known"),
        (
            b"kind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: "
            b"[{aesgcm: {keys: [{name: k, secret: c2hvcnQ=}]}}]}]",
            "the secret of the key k is not 16, 24 or 32 bytes",
        ),
    ],
)
def test_bad_configurations(content: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as error:
        read(content, "file")
    assert "c2hvcnQ" not in str(error.value)


def secret(name: str = "s") -> Object:
    metadata = {"name": name, "namespace": "default", "uid": "u"}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "stringData": {"word": WORD}}


async def stored(folder: Path, encryption: Encryption, *new: Object) -> list[Any]:
    """Open the store of `folder`, create, let the rewriting settle; gives what reads show."""
    store = await SqliteStore.open(folder / "state.db")
    storage = Storage(store, encryption)
    await storage.start()
    for obj in new:
        await storage.create(SECRET, obj)
    for _ in range(200):
        if not encryption.stale:
            break
        await storage.wait(store.revision)
        await asyncio.sleep(0.01)
    found = [item.object["stringData"]["word"] for item in storage.of(SECRETS).items()]
    await storage.close()
    await store.close()
    return found


async def test_keys_change_and_nothing_is_lost(tmp_path: Path) -> None:
    assert await stored(tmp_path, configured(PLAIN), secret("plain")) == [WORD]
    assert await stored(tmp_path, configured(aesgcm(OLD), PLAIN), secret("old")) == [WORD] * 2
    assert await stored(tmp_path, configured(aesgcm(NEW, OLD))) == [WORD] * 2
    assert await stored(tmp_path, configured(aesgcm(NEW)), secret("new")) == [WORD] * 3


def holding(folder: Path, word: bytes) -> Iterator[Path]:
    return (path for path in folder.iterdir() if word in path.read_bytes())


async def test_the_disk_does_not_know_it(tmp_path: Path) -> None:
    await stored(tmp_path, open_encryption(tmp_path), secret())
    assert (tmp_path / "encryption.yaml").stat().st_mode & 0o777 == 0o600
    assert not list(holding(tmp_path, WORD.encode()))
    assert await stored(tmp_path, open_encryption(tmp_path)) == [WORD]
    (tmp_path / "encryption.yaml").unlink()
    with pytest.raises(Undecipherable):
        await stored(tmp_path, open_encryption(tmp_path))
