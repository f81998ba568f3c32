"""The configuration of the scheduler: read, defaulted, validated."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podling.api.field import Cursor, FieldError
from podling.api.objects import Object
from podling.base.errors import InvalidInput
from podling.scheduler.configuration.arguments import VALIDATORS
from podling.scheduler.configuration.decode import API_VERSION, decode
from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.framework import POINTS

REMOVED = ("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a KubeSchedulerConfiguration says. Back-offs in seconds."""

    profiles: tuple[ProfileSpec, ...] = (ProfileSpec(),)
    initial_backoff: float = 1.0
    max_backoff: float = 10.0
    elects: bool = True


def read(text: bytes | str, source: str = "KubeSchedulerConfiguration") -> Configuration:
    """The configuration in a file's text. Raises InvalidInput that names the file and each wrong field."""
    given = decode(text, source)
    if errors := [error.message for error in _errors(Cursor(given))]:
        raise InvalidInput(f"{source}: {errors[0] if len(errors) == 1 else '[' + ', '.join(errors) + ']'}")
    percentage = given.get("percentageOfNodesToScore") or 0
    profiles: list[Object] = given.get("profiles") or [{}]
    configuration = Configuration(
        tuple(_profile(one, percentage) for one in profiles),
        float(given.get("podInitialBackoffSeconds", 1)),
        float(given.get("podMaxBackoffSeconds", 10)),
        (given.get("leaderElection") or {}).get("leaderElect", True),
    )
    for profile in configuration.profiles:
        try:
            profile.build()
        except InvalidInput as error:
            raise InvalidInput(f"{source}: {error}") from error
    return configuration


def _profile(given: Object, percentage: int) -> ProfileSpec:
    own = given.get("percentageOfNodesToScore")
    args = {one["name"]: one.get("args") or {} for one in given.get("pluginConfig") or ()}
    name = given.get("schedulerName", "default-scheduler")
    return ProfileSpec(name, given.get("plugins"), args, percentage if own is None else own)


def _errors(given: Cursor) -> Iterator[FieldError]:
    election = given / "leaderElection"
    if election.get("leaderElect", True) and election.get("resourceLock", "leases") != "leases":
        yield (election / "resourceLock").invalid('resourceLock value must be "leases"')
    if given.get("parallelism", 16) <= 0:
        yield (given / "parallelism").invalid("should be an integer value greater than zero")
    profiles = list(given / "profiles")
    seen: dict[str, Cursor] = {}
    for one in profiles:
        yield from _profile_errors(one, alone=len(profiles) == 1)
        name = one.get("schedulerName", "default-scheduler")
        if name in seen:
            yield (one / "schedulerName").duplicate((seen[name] / "schedulerName").path)
        seen.setdefault(name, one)
    yield from _common_queue_sort(profiles)
    yield from _percentage(given / "percentageOfNodesToScore")
    first, most = given.get("podInitialBackoffSeconds", 1), given.get("podMaxBackoffSeconds", 10)
    if first <= 0:
        yield (given / "podInitialBackoffSeconds").invalid("must be greater than 0")
    if most < first:
        yield (given / "podMaxBackoffSeconds").invalid("must be greater than or equal to PodInitialBackoffSeconds", most)
    if given / "extenders":
        yield (given / "extenders").forbidden(
            "extenders are not supported: write a plugin, an entry point of podling.scheduler.plugins"
        )


def _percentage(percentage: Cursor) -> Iterator[FieldError]:
    if percentage.value is not None and not 0 <= percentage.value <= 100:
        yield percentage.invalid("not in valid range [0-100]")


def _profile_errors(profile: Cursor, *, alone: bool) -> Iterator[FieldError]:
    if not profile.get("schedulerName", "default-scheduler" if alone else ""):
        yield (profile / "schedulerName").required()
    yield from _percentage(profile / "percentageOfNodesToScore")
    for point in ("multiPoint", *POINTS):
        for one in profile / "plugins" / point / "enabled":
            yield from _removed(one, one.get("name"))
    seen: set[str] = set()
    for one in profile / "pluginConfig":
        name = one.get("name", "")
        if name in seen:
            yield one.duplicate(name)
        seen.add(name)
        yield from _removed(one, name)
        if name in VALIDATORS:
            yield from VALIDATORS[name](one / "args")


def _removed(place: Cursor, name: str) -> Iterable[FieldError]:
    if name in REMOVED:
        words = f'was invalid in version "v1" (KubeSchedulerConfiguration is version "{API_VERSION}")'
        return (place.invalid(words, name),)
    return ()


def _common_queue_sort(profiles: list[Cursor]) -> Iterator[FieldError]:
    """There is one queue for all profiles."""
    if not profiles:
        return
    first = profiles[0].get("plugins", {}).get("queueSort") or {}
    if (number := len(first.get("enabled") or ())) > 1:
        enabled = profiles[0] / "plugins" / "queueSort" / "Enabled"
        yield enabled.invalid("only one queue sort plugin can be enabled", number)
    for other in profiles[1:]:
        if (other.get("plugins", {}).get("queueSort") or {}) != first:
            yield (other / "plugins" / "queueSort").invalid("must be the same for all profiles")
