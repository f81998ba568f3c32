"""What a machine lacks is told before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from podling.app import doctor


def podling(*arguments, path):
    command = [sys.executable, "-m", "podling", *arguments]
    environment = {**os.environ, "PATH": str(path), "COLUMNS": "120"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def programs(tmp_path):
    """A PATH of the programs that podling needs, to take some away."""
    for name in ("crun", "conmon", "nft"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.root
@pytest.mark.parametrize(("lacking", "advice"), [("crun", "apt-get install crun"), ("conmon", "apt-get install conmon")])
def test_up_names_what_is_missing_and_what_to_type(programs, tmp_path, lacking, advice):
    (programs / lacking).unlink()
    failed = podling("up", "-d", "--root", str(tmp_path / "root"), path=programs)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert advice in failed.stderr
    assert not Path(tmp_path / "root").exists()


@pytest.mark.root
def test_doctor_lists_all_checks(programs):
    assert podling("doctor", path=programs).returncode == 0
    (programs / "nft").unlink()
    shown = podling("doctor", path=programs)
    assert shown.returncode == 1
    assert "apt-get install nftables" in shown.stdout


def test_a_kernel_without_overlayfs_is_told(monkeypatch):
    monkeypatch.setattr(doctor.capabilities, "filesystems", lambda: frozenset({"ext4"}))
    finding = next(finding for finding in doctor.examine() if finding.subject == "overlayfs")
    assert (finding.good, finding.advice) == (False, "modprobe overlay")
