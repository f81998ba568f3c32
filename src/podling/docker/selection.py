"""Which containers a list shows. Source: Docker Engine API, ContainerList, "filters"."""

from collections.abc import Iterable, Sequence

from podling.base.errors import InvalidInput, NotFound
from podling.docker import filters
from podling.docker.filters import Given
from podling.engine.container import Container
from podling.engine.engine import Engine

KNOWN = frozenset(
    [
        "ancestor",
        "before",
        "expose",
        "exited",
        "health",
        "id",
        "is-task",
        "isolation",
        "label",
        "label!",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    ]
)
STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTH = ("starting", "healthy", "unhealthy", "none")


def select(engine: Engine, given: Given, *, everything: bool, limit: int) -> Sequence[Container]:
    """The newest first. Without `everything` the running ones, unless a filter asks for states. Raises InvalidInput, NotFound."""
    _check(given)
    everything = everything or limit > 0 or bool(given.keys() & {"status", "exited", "before", "since"})
    images = _images(engine, given)
    bounds = _bounds(engine, given)
    found = [
        container
        for container in engine.containers.list()
        if (everything or container.running) and _fits(container, engine, given, images) and _is_between(container, bounds)
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


def _is_between(container: Container, bounds: tuple[float, float]) -> bool:
    return bounds[0] < container.created < bounds[1]


def _fits(container: Container, engine: Engine, given: Given, images: set[str]) -> bool:
    spec, state = container.spec, container.state
    health = state.health.status if state.health else "none"
    names = (container.name, f"/{container.name}")
    return (
        filters.labels(given, spec.labels)
        and filters.any_of(given, "id", container.id.startswith)
        and filters.any_of(given, "name", lambda value: filters.name_matches(value, names))
        and filters.any_of(given, "status", lambda value: state.status == value)
        and filters.any_of(given, "exited", lambda value: state.status == "exited" and state.exit_code == int(value))
        and filters.any_of(given, "health", lambda value: health == value)
        and filters.any_of(given, "ancestor", lambda value: container.image_id in images or value == spec.image)
        and filters.any_of(given, "network", lambda value: _is_in_network(container, engine, value))
        and filters.any_of(given, "volume", lambda value: any(value in (each.source, each.target) for each in spec.mounts))
        and filters.any_of(
            given, "publish", lambda value: _has_port(value, (_text(each.container_port, each.protocol) for each in spec.ports))
        )
        and filters.any_of(given, "expose", lambda value: _has_port(value, spec.exposed))
        and filters.flag(given, "is-task") is not True
    )


def _is_in_network(container: Container, engine: Engine, value: str) -> bool:
    names = {*container.networks(), *(engine.networks.find(each.network).name for each in container.endpoints)}
    try:
        return engine.networks.find(value).name in names
    except (NotFound, InvalidInput):
        return False


def _text(port: int, protocol: str) -> str:
    return f"{port}/{protocol}"


def _has_port(value: str, ports: Iterable[str]) -> bool:
    """`80`, `80/udp` or `8000-8010[/protocol]`."""
    numbers, _, protocol = value.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise InvalidInput(f"invalid port specification: {value}")
    wanted = range(int(first), int(last or first) + 1)
    return any(int(port.partition("/")[0]) in wanted and port.partition("/")[2] == (protocol or "tcp") for port in ports)
