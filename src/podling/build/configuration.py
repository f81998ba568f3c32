"""What instructions make of an image's configuration. Pure; shared by builds, `commit --change` and `import --change`.

Source: the Dockerfile reference; OCI image-spec, config.md.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from podling.base.errors import InvalidInput
from podling.build.dockerfile import Instruction, parse_instruction
from podling.build.duration import nanoseconds
from podling.build.expand import expand
from podling.oci.image import ExecutionConfig, HealthConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_CHANGES = frozenset(
    ["CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"]
)
_NOT_ON_BUILD = ("ONBUILD", "FROM", "MAINTAINER")
Expand = Callable[[str], str]


def applied(config: ExecutionConfig, changes: Iterable[str]) -> ExecutionConfig:
    """`config` after the instructions of `--change`. Raises InvalidInput for one that is none, or changes more than this."""
    for text in changes:
        instruction = parse_instruction(text)
        if instruction.name not in _CHANGES:
            raise InvalidInput(f"{instruction.name} is not a valid change command")
        variables = environment(config)
        config = apply(config, instruction, lambda word, known=variables: expand(word, known))  # type: ignore[misc]
    return config


def environment(config: ExecutionConfig) -> dict[str, str]:
    """ENV as a mapping."""
    pairs = (word.partition("=") for word in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def shell_of(config: ExecutionConfig) -> tuple[str, ...]:
    return tuple(config.get("Shell") or DEFAULT_SHELL)


def command_of(config: ExecutionConfig, instruction: Instruction) -> list[str]:
    """The words that run: as given, or a line for the shell."""
    if instruction.exec_form:
        return list(instruction.arguments)
    return [*shell_of(config), instruction.text]


def apply(config: ExecutionConfig, instruction: Instruction, expanded: Expand, *, own_command: bool = False) -> ExecutionConfig:
    """A new configuration. `own_command`: CMD was set in this stage, so that ENTRYPOINT does not take it away.

    Raises InvalidInput in Docker's words.
    """
    changed = cast(ExecutionConfig, dict(config))
    match instruction.name:
        case "ENV":
            changed["Env"] = _environment(config.get("Env") or (), instruction, expanded)
        case "LABEL":
            pairs = {expanded(name): expanded(value or "") for name, value in instruction.pairs}
            changed["Labels"] = {**(config.get("Labels") or {}), **pairs}
        case "EXPOSE":
            ports = [port for word in instruction.arguments for port in _ports(expanded(word))]
            changed["ExposedPorts"] = {**config.get("ExposedPorts", {}), **{port: {} for port in ports}}
        case "VOLUME":
            changed["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in _volumes(instruction, expanded)}}
        case "USER":
            changed["User"] = expanded(_one(instruction))
        case "WORKDIR":
            changed["WorkingDir"] = posixpath.normpath(
                posixpath.join("/", config.get("WorkingDir") or "", expanded(instruction.text))
            )
        case "STOPSIGNAL":
            changed["StopSignal"] = expanded(_one(instruction))
        case "SHELL":
            if not instruction.exec_form:
                raise InvalidInput("SHELL requires the arguments to be in JSON form")
            changed["Shell"] = list(instruction.arguments)
        case "CMD":
            changed["Cmd"] = command_of(config, instruction)
        case "ENTRYPOINT":
            changed["Entrypoint"] = command_of(config, instruction) or None
            if not own_command:
                changed["Cmd"] = None
        case "HEALTHCHECK":
            changed["Healthcheck"] = _health(config, instruction)
        case "ONBUILD":
            changed["OnBuild"] = [*(config.get("OnBuild") or ()), _trigger(instruction)]
    return changed


def _environment(old: Iterable[str], instruction: Instruction, expanded: Expand) -> list[str]:
    merged = {word.partition("=")[0]: word for word in old}
    for name, value in instruction.pairs:
        key = expanded(name)
        merged[key] = f"{key}={expanded(value or '')}"
    return list(merged.values())


def _one(instruction: Instruction) -> str:
    words = instruction.text.split()
    if len(words) != 1:
        raise InvalidInput(f"{instruction.name} requires exactly one argument")
    return words[0]


def _ports(word: str) -> list[str]:
    """`80`, `80/udp`, `80-82/tcp`; nothing for an empty word."""
    if not word:
        return []
    match = _PORT.fullmatch(word)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 0 < first <= last < 65536:
        raise InvalidInput(f"invalid containerPort: {word}")
    return [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]


def _volumes(instruction: Instruction, expanded: Expand) -> list[str]:
    paths = [expanded(word) for word in instruction.arguments]
    if not all(path.strip() for path in paths):
        raise InvalidInput("VOLUME specified can not be an empty string")
    return paths


def _health(config: ExecutionConfig, instruction: Instruction) -> HealthConfig:
    kind, _, rest = instruction.text.partition(" ")
    if kind.upper() == "NONE":
        if rest.strip():
            raise InvalidInput("HEALTHCHECK NONE takes no arguments")
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD":
        raise InvalidInput(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    test = parse_instruction(f"CMD {rest}") if rest.strip() else None
    if test is None:
        raise InvalidInput("Missing command after HEALTHCHECK CMD")
    words = ["CMD", *test.arguments] if test.exec_form else ["CMD-SHELL", test.text]
    checked: HealthConfig = {"Test": words}
    for flag, member in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        if text := instruction.flag(flag):
            checked[member] = nanoseconds(text, f"--{flag}")  # type: ignore[literal-required]
    if text := instruction.flag("retries"):
        if not text.isdecimal():
            raise InvalidInput(f"--retries cannot be negative ({text})")
        checked["Retries"] = int(text)
    return checked


def _trigger(instruction: Instruction) -> str:
    name = instruction.text.split(None, 1)[0].upper()
    if name == "ONBUILD":
        raise InvalidInput("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in _NOT_ON_BUILD:
        raise InvalidInput(f"{name} isn't allowed as an ONBUILD trigger")
    parse_instruction(instruction.text, instruction.line)
    return instruction.text


def words(values: Sequence[str]) -> str:
    """Words as Docker prints a command in a history: `["a" "b"]`."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
