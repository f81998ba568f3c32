"""What a container gets that it did not ask for: the image's defaults, a name. Pure but for the name's chance."""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace

from podling.base.errors import InvalidInput
from podling.engine.types import ContainerSpec, Health, Mount
from podling.oci.image import ExecutionConfig

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_STOP_SIGNAL = "SIGTERM"
DEFAULT_STOP_TIMEOUT = 10.0
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_SIZE = re.compile(r"(\d+)([kmgt]?)i?b?")
_NANOSECONDS = 1_000_000_000

_FIRST = """
able amber apt bold brave breezy bright brisk calm candid cheery clever cosy crisp daring deft eager earnest fair fancy fleet
fond frank fresh gentle glad golden grand happy hardy honest humble jolly keen kind lively loyal lucid lucky merry mild modest
neat nimble noble patient plucky polite prime proud quick quiet rapid ready royal sage serene sharp sleek smart snug solid
spry steady stout sunny swift tender tidy trusty upbeat vivid warm wise witty zesty
"""
_SECOND = """
acorn anchor aspen badger beacon birch bison breeze brook canyon cedar cliff clover comet coral crane creek delta dove dune
eagle ember falcon fern finch fjord flint fox gale glade grove gull harbor hawk hazel heron holly ibis inlet iris island ivy
juniper kelp lagoon lark laurel lotus lynx maple marlin marsh meadow merlin mesa moose oak orca orchid osprey otter owl pebble
pine plover puffin quail quartz raven reef ridge river robin seal sparrow spruce stork summit swan thicket tide tulip vale
willow wren
"""


def generate_name() -> str:
    """A name for who gave none, as brave_otter."""
    return f"{secrets.choice(_FIRST.split())}_{secrets.choice(_SECOND.split())}"


def check_name(name: str) -> str:
    """`name` without a leading slash. Raises InvalidInput."""
    plain = name.removeprefix("/")
    if not _NAME.fullmatch(plain):
        raise InvalidInput(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    return plain


def with_image(spec: ContainerSpec, image: ExecutionConfig) -> ContainerSpec:
    """The spec with everything that the image says and the caller did not. Raises InvalidInput where nothing says what to run."""
    entrypoint, command = spec.entrypoint, spec.command
    if entrypoint is None:
        entrypoint = tuple(image.get("Entrypoint") or ())
        command = tuple(image.get("Cmd") or ()) if command is None else command
    entrypoint = () if entrypoint == ("",) else entrypoint
    if not entrypoint and not command:
        raise InvalidInput("no command specified")
    return replace(
        spec,
        entrypoint=entrypoint,
        command=command or (),
        env=merge_env(image.get("Env") or (), spec.env),
        working_dir=spec.working_dir or image.get("WorkingDir") or "",
        user=spec.user or image.get("User") or "",
        labels={**(image.get("Labels") or {}), **spec.labels},
        exposed=tuple(dict.fromkeys((*(image.get("ExposedPorts") or ()), *spec.exposed))),
        stop_signal=spec.stop_signal or image.get("StopSignal") or "",
        health=_health(spec.health, image),
        mounts=(*spec.mounts, *_image_volumes(spec.mounts, image.get("Volumes") or ())),
    )


def merge_env(lower: Iterable[str], upper: Iterable[str]) -> tuple[str, ...]:
    """NAME=VALUE words, later ones winning in the place of the first; a bare NAME takes the variable away."""
    merged: dict[str, str] = {}
    for word in (*lower, *upper):
        name, equals, _ = word.partition("=")
        if equals:
            merged[name] = word
        else:
            merged.pop(name, None)
    return tuple(merged.values())


def _image_volumes(mounts: Iterable[Mount], targets: Iterable[str]) -> list[Mount]:
    taken = {mount.target.rstrip("/") for mount in mounts}
    return [Mount("volume", "", target) for target in targets if target.rstrip("/") not in taken]


def _health(asked: Health | None, image: ExecutionConfig) -> Health | None:
    found = image.get("Healthcheck")
    if not found:
        return asked
    inherited = Health(
        tuple(found.get("Test") or ()),
        found.get("Interval", 0) / _NANOSECONDS,
        found.get("Timeout", 0) / _NANOSECONDS,
        found.get("StartPeriod", 0) / _NANOSECONDS,
        found.get("StartInterval", 0) / _NANOSECONDS,
        found.get("Retries", 0),
    )
    if asked is None:
        return inherited
    names = ("test", "interval", "timeout", "start_period", "start_interval", "retries")
    return Health(**{name: getattr(asked, name) or getattr(inherited, name) for name in names})


def process_env(spec: ContainerSpec, home: str) -> list[str]:
    """The environment of the first process: Docker's own variables, then the spec's over them."""
    base = [DEFAULT_PATH, f"HOSTNAME={spec.hostname}", *(["TERM=xterm"] if spec.tty else []), f"HOME={home}"]
    return list(merge_env(base, spec.env))


def size_of(text: str) -> int:
    """A size in bytes as options have it: 100, 10k, 10m, 1g; empty and -1 are 0. Raises InvalidInput."""
    if text in ("", "-1"):
        return 0
    match = _SIZE.fullmatch(text.lower())
    if match is None:
        raise InvalidInput(f"invalid size: '{text}'")
    return int(match[1]) << (10 * " kmgt".index(match[2] or " "))


def hosts_file(own: Mapping[str, str], names: Iterable[str], extra: Iterable[str], gateway: str = "") -> str:
    """/etc/hosts: the loopback names, extra entries (`name:address`, where host-gateway is `gateway`), then our own addresses.

    `own` maps an address to what is written behind it; empty values get `names`.
    """
    lines = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "ff00::0\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    for entry in extra:
        name, _, address = entry.partition(":")
        lines.append(f"{gateway if address == 'host-gateway' else address}\t{name}")
    joined = " ".join(names)
    lines += [f"{address}\t{words or joined}" for address, words in own.items() if address]
    return "\n".join(lines) + "\n"
