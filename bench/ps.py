"""How long `docker ps` takes with 200 containers, 20 of which run: podling, dockerd, in turn."""

import engines
from engines import Api

COUNT, RUNNING = 200, 20
ROUNDS = 10


async def make(api: Api) -> None:
    for number in range(COUNT):
        body = {"Image": "busybox", "Cmd": ["sleep", "86400"], "Labels": {"number": str(number)}}
        await api("POST", f"/containers/create?name=box{number}", body)
        if number < RUNNING:
            await api("POST", f"/containers/box{number}/start")


def main() -> None:
    with engines.both() as both:
        for engine in filter(None, both.values()):
            engine.ask(make)
        measured = {
            "docker ps -a": engines.alternate(both, lambda engine: engine.docker("ps", "-a"), ROUNDS),
            "docker ps": engines.alternate(both, lambda engine: engine.docker("ps"), ROUNDS),
            "docker ps -a, by a label": engines.alternate(
                both, lambda engine: engine.docker("ps", "-af", "label=number=7"), ROUNDS
            ),
            "docker inspect of 20": engines.alternate(both, lambda engine: engine.docker("inspect", *NAMES), ROUNDS),
        }
    engines.show(f"{COUNT} containers, {RUNNING} of which run; median of {ROUNDS}, in turn", measured)


NAMES = [f"box{number}" for number in range(RUNNING)]

if __name__ == "__main__":
    main()
