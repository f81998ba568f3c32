"""Which containers a list shows. Source: Docker Engine API, ContainerList, "filters"."""

from collections.abc import Callable, Iterable, Sequence

from podling.base.errors import InvalidInput, NotFound
from podling.docker import filters
from podling.docker.filters import Given
from podling.engine.container import Container
from podling.engine.engine import Engine

Test = Callable[[Container, str], bool]
STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTH = ("starting", "healthy", "unhealthy", "none")


def select(engine: Engine, given: Given, *, everything: bool, limit: int) -> Sequence[Container]:
    """The newest first. Without `everything` the running ones, unless a filter asks for states. Raises InvalidInput, NotFound."""
    _check(given)
    everything = everything or limit > 0 or bool(given.keys() & {"status", "exited", "before", "since"})
    bounds = _bounds(engine, given)
    tests = _tests(engine, given)
    found = [
        container
        for container in engine.containers.list()
        if (everything or container.running)
        and bounds[0] < container.created < bounds[1]
        and filters.labels(given, container.spec.labels)
        and all(any(test(container, value) for value in values) for test, values in tests)
    ]
    return found[:limit] if limit > 0 else found


def _check(given: Given) -> None:
    filters.check(given, KNOWN)
    for value in given.get("status", ()):
        if value not in STATUSES:
            raise InvalidInput(f"invalid filter 'status={value}'")
    for value in given.get("health", ()):
        if value not in HEALTH:
            raise InvalidInput(f"invalid filter 'health={value}'")
    filters.flag(given, "is-task")
    for value in given.get("exited", ()):
        if not value.removeprefix("-").isdecimal():
            raise InvalidInput(f"invalid filter 'exited={value}'")


def _images(engine: Engine, given: Given) -> set[str]:
    """The ids of the images that `ancestor` names, and of all that were built from them."""
    wanted: set[str] = set()
    for name in given.get("ancestor", ()):
        try:
            wanted.add(engine.images.get(name).id)
        except (NotFound, InvalidInput):
            continue
    grown = True
    while wanted and grown:
        children = {image.id for image in engine.images.all() if image.parent in wanted} - wanted
        grown = bool(children)
        wanted |= children
    return wanted


def _bounds(engine: Engine, given: Given) -> tuple[float, float]:
    """(made after, made before), in unix seconds."""
    since = [engine.containers.find(name).created for name in given.get("since", ())]
    before = [engine.containers.find(name).created for name in given.get("before", ())]
    return max(since, default=0.0), min(before, default=float("inf"))


def _tests(engine: Engine, given: Given) -> list[tuple[Test, Sequence[str]]]:
    """Those that are asked for, each with its values, one of which must pass."""
    by_name: dict[str, Test] = _TESTS | {
        "ancestor": _is_from(_images(engine, given)),
        "network": lambda container, value: _is_in_network(container, engine, value),
    }
    return [(by_name[name], values) for name, values in given.items() if values and name in by_name]


def _is_from(images: set[str]) -> Test:
    return lambda container, value: container.image_id in images or value == container.spec.image


def _health(container: Container) -> str:
    health = container.state.health
    return health.status if health else "none"


def _is_named(container: Container, value: str) -> bool:
    return filters.name_matches(value, (container.name, f"/{container.name}"))


def _has_exited(container: Container, value: str) -> bool:
    return container.state.status == "exited" and container.state.exit_code == int(value)


def _has_volume(container: Container, value: str) -> bool:
    return any(value in (mount.source, mount.target) for mount in container.spec.mounts)


def _publishes(container: Container, value: str) -> bool:
    return _has_port(value, (f"{port.container_port}/{port.protocol}" for port in container.spec.ports))


def _is_in_network(container: Container, engine: Engine, value: str) -> bool:
    names = {*container.networks(), *(engine.networks.find(each.network).name for each in container.endpoints)}
    try:
        return engine.networks.find(value).name in names
    except (NotFound, InvalidInput):
        return False


def _has_port(value: str, ports: Iterable[str]) -> bool:
    """`80`, `80/udp` or `8000-8010[/protocol]`."""
    numbers, _, protocol = value.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise InvalidInput(f"invalid port specification: {value}")
    wanted = range(int(first), int(last or first) + 1)
    return any(int(port.partition("/")[0]) in wanted and port.partition("/")[2] == (protocol or "tcp") for port in ports)


_TESTS: dict[str, Test] = {
    "id": lambda container, value: container.id.startswith(value),
    "name": _is_named,
    "status": lambda container, value: container.state.status == value,
    "exited": _has_exited,
    "health": lambda container, value: _health(container) == value,
    "volume": _has_volume,
    "publish": _publishes,
    "expose": lambda container, value: _has_port(value, container.spec.exposed),
    "is-task": lambda container, value: value not in filters.TRUE,
}
# The labels' and the times' are no tests of one value.
KNOWN = frozenset([*_TESTS, "ancestor", "before", "isolation", "label", "label!", "network", "since"])
