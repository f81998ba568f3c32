import hashlib
import os
from pathlib import Path

import pytest

from podling.base.errors import Conflict, Failed, InvalidInput, NotFound
from podling.images.content import ContentStore
from podling.linux import mount
from podling.oci import digest as digests


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


DATA = b"some content" * 1000
DIGEST = digests.of(DATA)


def leftovers(root: Path) -> list[str]:
    return os.listdir(root / "ingest")


def test_what_is_put_is_found_by_its_digest(content: ContentStore, tmp_path: Path) -> None:
    assert content.put(DATA) == DIGEST == content.put(DATA)
    assert content.has(DIGEST)
    assert content.read(DIGEST) == DATA
    assert content.size(DIGEST) == len(DATA)
    assert [blob.digest for blob in content.walk()] == [DIGEST]
    assert leftovers(tmp_path) == []
    content.delete(DIGEST)
    content.delete(DIGEST)
    assert not content.has(DIGEST)
    with pytest.raises(NotFound):
        content.open(DIGEST)
    with pytest.raises(NotFound):
        content.size(DIGEST)


def test_names_that_are_no_digests_are_refused(content: ContentStore) -> None:
    with pytest.raises(InvalidInput):
        content.open("sha256:../../etc/passwd")


def test_large_documents_are_refused(content: ContentStore) -> None:
    content.put(DATA)
    with pytest.raises(Failed, match="larger than 100 bytes"):
        content.read(DIGEST, limit=100)


def test_what_is_wrong_never_appears(content: ContentStore, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="its digest is"), content.ingest("k", digest=DIGEST) as ingest:
        ingest.write(b"something else")
        ingest.commit()
    with pytest.raises(Failed, match="more than the 3 bytes"), content.ingest("k", digest=DIGEST, size=3) as ingest:
        ingest.write(b"long")
    with pytest.raises(Failed, match="2 bytes instead of 3"), content.ingest("k", digest=DIGEST, size=3) as ingest:
        ingest.write(b"xy")
        ingest.commit()
    assert list(content.walk()) == []
    assert leftovers(tmp_path) == []


def test_sha512_is_verified_too(content: ContentStore) -> None:
    digest = f"sha512:{hashlib.sha512(DATA).hexdigest()}"
    with content.ingest(digest=digest) as ingest:
        ingest.write(DATA)
        assert ingest.commit() == digest
    assert content.read(digest) == DATA


def test_a_transfer_goes_on_where_it_stopped(content: ContentStore) -> None:
    with content.ingest("key", digest=DIGEST) as ingest:
        ingest.write(DATA[:5000])
    with content.ingest("key", digest=DIGEST) as ingest:
        assert ingest.offset == 5000
        ingest.write(DATA[5000:])
        ingest.commit()
    assert content.read(DIGEST) == DATA


def test_a_transfer_can_begin_anew(content: ContentStore) -> None:
    with content.ingest("key", digest=DIGEST) as ingest:
        ingest.write(b"wrong")
        ingest.restart()
        ingest.write(DATA)
        ingest.commit()
    assert content.read(DIGEST) == DATA


def test_a_key_has_one_writer(content: ContentStore) -> None:
    with content.ingest("key"), pytest.raises(Conflict):
        content.ingest("key")


def test_a_restart_forgets_what_had_no_key(content: ContentStore, tmp_path: Path) -> None:
    ingest = content.ingest()
    ingest.write(b"x")
    kept = content.ingest("key")
    kept.write(b"x")
    ContentStore(tmp_path)
    assert len(leftovers(tmp_path)) == 2  # both still have their writers
    ingest._file.close()
    kept._file.close()
    ContentStore(tmp_path)
    assert len(leftovers(tmp_path)) == 1
    content.drop_ingests(before=2**40)
    assert leftovers(tmp_path) == []


@pytest.mark.root
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    mount.tmpfs(tmp_path, "size=64k")
    try:
        content = ContentStore(tmp_path)
        with pytest.raises(Failed, match="no space left on device"), content.ingest("key") as ingest:
            ingest.write(bytes(1 << 20))
        assert leftovers(tmp_path) == []
        assert list(content.walk()) == []
    finally:
        mount.umount(tmp_path)
