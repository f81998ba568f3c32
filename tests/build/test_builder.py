"""The façade."""

import subprocess
import sys


def test_a_daemon_starts_without_what_only_builds_need() -> None:
    words = "import sys, podling.app.agent; print(*(name for name in sys.modules if name.startswith('podling.build')))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert "podling.build.builder" in done.stdout.split()
    assert not {"podling.build.execute", "podling.build.plan", "podling.build.context"} & set(done.stdout.split())
