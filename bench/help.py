"""How long `podling --help` takes, beside the help of docker, kubectl and podman, and the start of Python itself."""

import subprocess
import sys

import peers
import table
import timing

ROUNDS = 20


def main() -> None:
    commands = {"podling": [sys.executable, "-m", "podling", "--help"], "python -c pass": [sys.executable, "-c", "pass"]}
    for name in ("docker", "kubectl", "podman"):
        program = peers.installed(name)
        commands[name] = [program, "--help"] if program else None
    works = {
        name: None if argv is None else lambda argv=argv: subprocess.run(argv, check=True, capture_output=True, timeout=60)
        for name, argv in commands.items()
    }
    taken = timing.alternate(works, ROUNDS)
    rows = [(name, table.duration(seconds), table.ratio(taken["podling"], seconds)) for name, seconds in taken.items()]
    table.show(f"--help, median of {ROUNDS}", ("", "time", "podling is"), rows)


if __name__ == "__main__":
    main()
