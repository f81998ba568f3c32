"""crun from memory."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from podling.linux.sealed import sealed_copy
from podling.runtime.program import Program
from podling.runtime.sealed import Sealed

CRUN = shutil.which("crun") or ""


def test_a_sealed_copy_holds_the_file_and_takes_no_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content" * 100_000)
    copy = sealed_copy(str(tmp_path / "file"))
    with open(copy, "rb+", buffering=0) as file:
        file.seek(0)
        assert file.read() == b"content" * 100_000
        with pytest.raises(PermissionError):
            file.write(b"x")
        with pytest.raises(PermissionError):
            file.truncate(0)


@pytest.mark.skipif(not CRUN, reason="crun is not installed")
def test_crun_runs_from_memory_under_its_own_name(tmp_path: Path) -> None:
    sealed = Sealed(tmp_path)
    program = sealed.of(Program(CRUN, is_crun=True))
    assert Path(program.path).name == "crun"
    assert sealed.of(Program(CRUN, is_crun=True)) == program
    assert subprocess.run([program.path, "--version"], capture_output=True, check=True).stdout.startswith(b"crun")


@pytest.mark.skipif(not CRUN, reason="crun is not installed")
def test_a_crun_that_is_replaced_is_copied_anew(tmp_path: Path) -> None:
    own = tmp_path / "crun"
    shutil.copy(CRUN, own)
    sealed = Sealed(tmp_path / "programs")
    before = sealed.of(Program(str(own), is_crun=True))
    own.unlink()
    shutil.copy("/bin/echo", own)
    after = sealed.of(replace(before, path=str(own)))
    assert subprocess.run([after.path, "new"], capture_output=True, check=True).stdout == b"new\n"


def test_another_runtime_stays_where_it_is(tmp_path: Path) -> None:
    program = Program("/usr/sbin/runc")
    assert Sealed(tmp_path).of(program) is program
