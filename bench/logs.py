"""How long `docker logs` of 100 MB takes, and writing them: podling, dockerd, in turn."""

import engines
from engines import Engine

SIZE = 100_000_000
LINE = "x" * 221
ROUNDS = 3
WRITE = f"yes {LINE} | head -c {SIZE}"


def write(engine: Engine) -> None:
    engine.docker("rm", "-f", "box")
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", WRITE)
    engine.docker("wait", "box")


def main() -> None:
    with engines.both() as both:
        for engine in filter(None, both.values()):
            engine.docker("create", "--name", "box", "busybox")
        measured = {
            "written": engines.alternate(both, write, 1),
            "docker logs": engines.alternate(both, lambda engine: engine.docker("logs", "box"), ROUNDS),
            "docker logs -t": engines.alternate(both, lambda engine: engine.docker("logs", "-t", "box"), ROUNDS),
            "docker logs --tail 100": engines.alternate(
                both, lambda engine: engine.docker("logs", "--tail", "100", "box"), ROUNDS
            ),
        }
    engines.show(
        f"docker logs of {SIZE / 1e6:.0f} MB in {SIZE // (len(LINE) + 1):,} lines; median of {ROUNDS}, in turn", measured
    )


if __name__ == "__main__":
    main()
