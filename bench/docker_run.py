"""How long `docker run --rm IMAGE true` takes, with network: podling, dockerd, podman, in turn; and the docker command alone."""

import os
import tempfile

import peers
import table
import timing
from podling.testing.podling import running_podling

ROUNDS = 10
RUN = ("run", "--rm", "busybox", "true")


def main() -> None:
    timing.clean_up_on_signals()
    with (
        tempfile.TemporaryDirectory(prefix="podling-bench-") as config,
        running_podling() as podling,
        peers.dockerd_with_busybox() as dockerd,
        peers.podman_with_busybox() as podman,
    ):
        environment = {**os.environ, "DOCKER_CONFIG": config}
        works = {
            "podling": lambda: peers.run(*peers.docker(podling.socket, *RUN), environment=environment),
            "dockerd": dockerd
            and (lambda: peers.run(*peers.docker(dockerd.folder / "docker.sock", *RUN), environment=environment)),
            "podman": podman and (lambda: peers.run(*podman, *RUN)),
            "docker version": lambda: peers.run(*peers.docker(podling.socket, "version"), environment=environment),
        }
        taken = timing.alternate(works, ROUNDS)
    rows = [(name, table.duration(seconds), table.ratio(seconds, taken["dockerd"])) for name, seconds in taken.items()]
    table.show(f"docker run --rm busybox true, with network; median of {ROUNDS}, in turn", ("", "time", "of dockerd"), rows)


if __name__ == "__main__":
    main()
