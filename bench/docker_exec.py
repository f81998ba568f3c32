"""How long `docker exec CONTAINER true` takes: podling, dockerd, in turn."""

import engines

ROUNDS = 15
EXEC = ("exec", "box", "true")


def main() -> None:
    with engines.both() as both:
        for engine in filter(None, both.values()):
            engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "86400")
        taken = engines.alternate(both, lambda engine: engine.docker(*EXEC), ROUNDS)
        version = engines.alternate(both, lambda engine: engine.docker("version"), ROUNDS)
    measured = {"docker exec": taken, "docker version": version}
    engines.show(f"docker exec CONTAINER true; median of {ROUNDS}, in turn", measured)


if __name__ == "__main__":
    main()
