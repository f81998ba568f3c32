import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podling.base.files import write_atomic


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"a longer one that was there before")
    write_atomic(path, b"new", 0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "record"
    write_atomic(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_atomic(path, bytes(4096))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_do_not_mix_what_they_write(tmp_path: Path) -> None:
    path = tmp_path / "state"
    texts = [bytes([65 + number]) * 20_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda number: write_atomic(path, texts[number % 8]), range(64)):
            assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]
