"""All fuzzers for a bounded time each, as many at once as there are processors.

usage: run.py [SECONDS] [NAME...]; `api` is the running server, the others are the parsers. What makes one fail is left in a file
that its output names.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
API = "api"


def names() -> list[str]:
    """The targets, without importing what they fuzz."""
    text = (HERE / "parsers.py").read_text()
    table = text[text.index("\nTARGETS") : text.index("\n}\n", text.index("\nTARGETS"))]
    return [API, *(line.split('"')[1] for line in table.splitlines() if line.startswith('    "') and ": Target(" in line)]


def run(name: str, seconds: int) -> tuple[str, int, str]:
    """One fuzzer: its name, its exit code and what it printed last."""
    with tempfile.TemporaryDirectory(prefix="podling-fuzz-") as folder:
        if name == API:
            command = [sys.executable, str(HERE / "api.py"), str(seconds)]
        else:
            artifacts = f"-artifact_prefix={tempfile.gettempdir()}/podling-fuzz-{name}-"
            limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=65536"]
            command = [sys.executable, str(HERE / "parsers.py"), name, *limits, artifacts, folder]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 900, text=True,
            errors="replace",
        )  # fmt: skip
    return name, done.returncode, "\n".join(done.stdout.splitlines()[-40:])


def main(arguments: list[str]) -> int:
    seconds = int(arguments[0]) if arguments and arguments[0].isdecimal() else 60
    wanted = [each for each in arguments if not each.isdecimal()] or names()
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, output in pool.map(lambda each: run(each, seconds), wanted):
            print(f"{name}: {'good' if code == 0 else f'failed with code {code}'}")
            if code:
                failed += 1
                print(output)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
