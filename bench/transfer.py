"""How long an image of 200 MB and 20,000 files takes to load, push and pull, with Debian's docker-registry: podling, dockerd."""

import random
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

import engines
import timing
from engines import Engine
from podling.testing.images import docker_archive, files_layer

LAYERS, FILES, SIZE = 4, 20_000, 200_000_000
ROUNDS = 3
IMAGE = "big:1"
STEPS = ("docker load", "docker push", "docker pull")


def image() -> bytes:
    """An archive for `docker load`; its files are half noise, half text, as programs and their data compress."""
    noise = random.Random(1)
    size = SIZE // FILES
    text = (b"podling: containers and clusters in one package\n" * (size // 48 + 1))[: size - size // 2]
    layers = []
    for number in range(LAYERS):
        names = (f"srv/{number}/{index // 100}/{index}" for index in range(FILES // LAYERS))
        layers.append(files_layer({name: noise.randbytes(size // 2) + text for name in names}))
    return docker_archive(layers, [IMAGE])


def measure(engine: Engine, archive: Path, folder: Path) -> dict[str, float]:
    """Seconds of each step, on an engine that has nothing of the image and with a registry that is empty."""
    folder.mkdir()
    taken = {"docker load": timing.timed(lambda: engine.docker("load", "-q", "-i", str(archive)))}
    with engine.registry(folder) as address:
        name = f"{address}/{IMAGE}"
        engine.docker("tag", IMAGE, name)
        taken["docker push"] = timing.timed(lambda: engine.docker("push", "-q", name))
        engine.docker("rmi", IMAGE, name)
        taken["docker pull"] = timing.timed(lambda: engine.docker("pull", "-q", name))
        engine.docker("rmi", name)
    return taken


def main() -> None:
    with engines.both() as both, tempfile.TemporaryDirectory(prefix="podling-bench-") as place:
        folder = Path(place)
        archive = folder / "image.tar"
        archive.write_bytes(image())
        taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for number in range(ROUNDS):
            for name, engine in both.items():
                for step, seconds in (measure(engine, archive, folder / f"{name}{number}") if engine else {}).items():
                    taken[step][name].append(seconds)
    measured = {
        step: {name: statistics.median(taken[step][name]) if taken[step][name] else None for name in both} for step in STEPS
    }
    title = f"an image of {SIZE / 1e6:.0f} MB, {FILES:,} files, {LAYERS} layers; median of {ROUNDS}, in turn"
    engines.show(title, measured)


if __name__ == "__main__":
    main()
