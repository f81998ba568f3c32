"""How long 50 containers take at once, through the API: created, started, exec'ed, removed. podling, dockerd, in turn."""

import asyncio
import statistics
import time

import engines
from engines import Api, Engine

COUNT = 50
ROUNDS = 3
STEPS = ("create", "start", "exec", "remove")
CONTAINER = {"Image": "busybox", "Cmd": ["sleep", "86400"]}
EXEC = {"Cmd": ["true"], "AttachStdout": True}


async def create(api: Api, name: str) -> None:
    await api("POST", f"/containers/create?name={name}", CONTAINER)


async def start(api: Api, name: str) -> None:
    await api("POST", f"/containers/{name}/start")


async def execute(api: Api, name: str) -> None:
    made = await api("POST", f"/containers/{name}/exec", EXEC)
    await api("POST", f"/exec/{made['Id']}/start", {"Detach": False})
    ended = await api("GET", f"/exec/{made['Id']}/json")
    if ended["ExitCode"] != 0:
        raise RuntimeError(f"exec in {name}: {ended}")


async def remove(api: Api, name: str) -> None:
    await api("DELETE", f"/containers/{name}?force=1")


def measure(engine: Engine) -> dict[str, float]:
    """Seconds of each step, for all containers together."""
    taken: dict[str, float] = {}

    async def work(api: Api) -> None:
        for name, step in zip(STEPS, (create, start, execute, remove), strict=True):
            begun = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(COUNT):
                    group.create_task(step(api, f"box{number}"))
            taken[name] = time.perf_counter() - begun

    engine.ask(work)
    return taken


def main() -> None:
    with engines.both() as both:
        present = {name: engine for name, engine in both.items() if engine is not None}
        rounds = [{name: measure(engine) for name, engine in present.items()} for _ in range(ROUNDS)]
    measured = {
        f"{step} {COUNT}": {
            name: statistics.median(each[name][step] for each in rounds) if name in present else None for name in both
        }
        for step in STEPS
    }
    engines.show(f"{COUNT} containers at once, through the API; median of {ROUNDS}, in turn", measured)


if __name__ == "__main__":
    main()
