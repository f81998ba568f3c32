"""What a build does: which stages, and in each which steps over its base. Pure.

A stage's steps depend on its base's configuration, so they are planned when that is known. Source: the Dockerfile reference,
"FROM", "ARG" ("Scope"), "Environment replacement", "ONBUILD".
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from podling.base.errors import InvalidInput, Unsupported
from podling.build import configuration
from podling.build.base import SCRIPT
from podling.build.dockerfile import Dockerfile, Heredoc, Instruction, parse_instruction
from podling.build.expand import expand
from podling.oci.image import ExecutionConfig

SCRATCH = "scratch"
# What RUN may be given without ARG, and what changes no result: it is no part of a cache's key.
PROXIES = frozenset(name for word in ("HTTP", "HTTPS", "FTP", "NO", "ALL") for name in (f"{word}_PROXY", f"{word.lower()}_proxy"))
_EXPANDED = frozenset(["ENV", "EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"])
_NOT_HERE = {
    ("RUN", "mount"): "the --mount option requires BuildKit",
    ("RUN", "security"): "the --security option requires BuildKit",
    ("COPY", "parents"): "the --parents option requires BuildKit",
    ("COPY", "exclude"): "the --exclude option requires BuildKit",
    ("ADD", "exclude"): "the --exclude option requires BuildKit",
    ("ADD", "keep-git-dir"): "the --keep-git-dir option requires BuildKit",
}
Arguments = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage with its variables replaced. `base` is an image's name, `scratch`, or the stage that `parent` numbers."""

    index: int
    name: str
    base: str
    parent: int | None
    platform: str
    text: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """RUN: the words, what they see besides the image's environment, and the network asked for.

    `script`: a program of its own, which the one word is the path of.
    """

    words: tuple[str, ...]
    env: tuple[str, ...]
    network: str = ""
    script: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and ADD. The files come from the context, from a stage (its number) or from an image; `mode` None keeps theirs.

    `destination` is absolute; a slash at its end asks for a directory. `extract`: archives are unpacked, and addresses fetched,
    which must have the `checksum` if there is one (ADD).
    """

    sources: tuple[str, ...]
    destination: str
    stage: int | None = None
    image: str = ""
    owner: str = ""
    mode: int | None = None
    extract: bool = False
    checksum: str = ""
    files: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """WORKDIR: a directory that must be there."""

    path: str


Work = Command | Copy | Directory | None


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction. `config` is the image's after it, `history` what its history says; `work` None changes no files."""

    text: str
    config: ExecutionConfig
    history: str
    work: Work = None
    author: str = ""


# -- stages


def stages(file: Dockerfile, target: str, given: Arguments) -> list[Stage]:
    """The stages that the target (a name or number; empty: the last) needs, in the file's order. Raises InvalidInput."""
    variables = global_arguments(file, given)
    found: list[Stage] = []
    for index, stage in enumerate(file.stages):
        base = expand(stage.base, variables, file.escape)
        if not base:
            raise InvalidInput(f"base name ({stage.base}) should not be blank")
        parent = _number(found, base.lower(), names_only=True)
        platform = expand(stage.platform, variables, file.escape)
        words = f"{stage.base} AS {stage.name}" if stage.name else stage.base
        found.append(Stage(index, stage.name, base, parent, platform, f"FROM {words}", stage.instructions))
    wanted = _needed(found, _target(found, target))
    return [stage for stage in found if stage.index in wanted]


def global_arguments(file: Dockerfile, given: Arguments) -> dict[str, str]:
    """The ARGs before the first FROM, with their values."""
    values: dict[str, str] = {}
    for instruction in file.arguments:
        for name, default in instruction.pairs:
            chosen = given.get(name)
            if chosen is not None:
                values[name] = chosen
            elif default is not None:
                values[name] = expand(default, values, file.escape)
    return values


def _number(known: Sequence[Stage], reference: str, *, names_only: bool = False) -> int | None:
    """The stage that a word means; the latest of a name."""
    for stage in reversed(known):
        if stage.name and stage.name == reference:
            return stage.index
    if not names_only and reference.isdecimal() and int(reference) < len(known):
        return int(reference)
    return None


def _target(found: Sequence[Stage], target: str) -> int:
    if not target:
        return len(found) - 1
    number = _number(found, target.lower())
    if number is None:
        raise InvalidInput(f"failed to reach build target {target} in Dockerfile")
    return number


def _needed(found: Sequence[Stage], target: int) -> set[int]:
    needed: set[int] = set()
    pending = [target]
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            pending += _references(found, found[index])
    return needed


def _references(found: Sequence[Stage], stage: Stage) -> list[int]:
    names = [instruction.flag("from") for instruction in stage.instructions if instruction.name == "COPY"]
    numbers = [_number(found[: stage.index], name.lower()) for name in names if name]
    return [number for number in (*numbers, stage.parent) if number is not None]


# -- steps


@dataclass(slots=True)
class Scope:
    """What the instructions of one stage see and have made so far."""

    config: ExecutionConfig
    given: Arguments
    globals: Mapping[str, str]
    known: Sequence[Stage]
    escape: str = "\\"
    arguments: dict[str, str] = field(default_factory=dict)
    own_command: bool = False
    consumed: set[str] = field(default_factory=set)

    def expanded(self, word: str) -> str:
        return expand(word, {**self.arguments, **configuration.environment(self.config)}, self.escape)


def steps(instructions: Sequence[Instruction], scope: Scope) -> Iterator[Step]:
    """Each instruction as a step; `scope` is changed on the way. Raises InvalidInput, Unsupported."""
    for instruction in instructions:
        for name, _ in instruction.flags:
            if reason := _NOT_HERE.get((instruction.name, name)):
                raise Unsupported(reason)
        yield _step(instruction, scope)


def triggers(config: ExecutionConfig) -> tuple[list[Instruction], ExecutionConfig]:
    """The ONBUILD instructions of a base, and its configuration without them."""
    found = [parse_instruction(text) for text in config.get("OnBuild") or ()]
    rest = {name: value for name, value in config.items() if name != "OnBuild"}
    return found, cast(ExecutionConfig, rest)


def _step(instruction: Instruction, scope: Scope) -> Step:
    match instruction.name:
        case "RUN":
            return _run(instruction, scope)
        case "COPY" | "ADD":
            return _copy(instruction, scope)
        case "ARG":
            return _argument(instruction, scope)
        case "MAINTAINER":
            return Step(
                shown(instruction), scope.config, _nothing(scope, f"MAINTAINER {instruction.text}"), author=instruction.text
            )
    config = configuration.apply(scope.config, instruction, scope.expanded, own_command=scope.own_command)
    text = _history(instruction, scope, config)
    scope.own_command = scope.own_command or instruction.name == "CMD"
    scope.config = config
    work = Directory(config["WorkingDir"]) if instruction.name == "WORKDIR" else None
    return Step(shown(instruction), config, text, work)


def shown(instruction: Instruction) -> str:
    """The instruction as the build's log has it."""
    flags = [f"--{name}={value}" for name, value in instruction.flags]
    return " ".join([instruction.name, *flags, instruction.text])


def _nothing(scope: Scope, text: str) -> str:
    """A history entry of what changed no files, as Docker writes it."""
    return f"{' '.join(configuration.shell_of(scope.config))} #(nop)  {text}"


def _history(instruction: Instruction, scope: Scope, config: ExecutionConfig) -> str:
    if instruction.name in ("CMD", "ENTRYPOINT"):
        words = (config.get("Cmd") if instruction.name == "CMD" else config.get("Entrypoint")) or []
        return _nothing(scope, f"{instruction.name} {configuration.words(words)}")
    if instruction.pairs:
        pairs = (f"{scope.expanded(name)}={scope.expanded(value or '')}" for name, value in instruction.pairs)
        return _nothing(scope, f"{instruction.name} {' '.join(pairs)}")
    text = scope.expanded(instruction.text) if instruction.name in _EXPANDED and not instruction.exec_form else instruction.text
    return _nothing(scope, shown(instruction).removesuffix(instruction.text) + text)


def _argument(instruction: Instruction, scope: Scope) -> Step:
    for name, default in instruction.pairs:
        scope.consumed.add(name)
        chosen = scope.given.get(name)
        if chosen is None:
            chosen = scope.globals.get(name) if default is None else scope.expanded(default)
        if chosen is not None:
            scope.arguments[name] = chosen
    return Step(shown(instruction), scope.config, _nothing(scope, shown(instruction)))


def _run(instruction: Instruction, scope: Scope) -> Step:
    words, script = tuple(_command(instruction, scope.config)), _script(instruction)
    words = (SCRIPT,) if script else words
    own = configuration.environment(scope.config)
    arguments = {name: value for name, value in scope.arguments.items() if name not in own}
    proxies = {name: value for name, value in scope.given.items() if name in PROXIES and value is not None and name not in own}
    env = tuple(f"{name}={value}" for name, value in {**proxies, **arguments}.items())
    keyed = [f"{name}={value}" for name, value in sorted(arguments.items()) if name not in PROXIES]
    prefix = f"|{len(keyed)} {' '.join(keyed)} " if keyed else ""
    network = instruction.flag("network")
    if network not in ("", "default", "none", "host"):
        raise InvalidInput(f'invalid value "{network}" for --network: use default, none or host')
    work = Command(words, env, "" if network == "default" else network, script)
    return Step(shown(instruction), scope.config, prefix + " ".join((*words, *([script] if script else []))), work)


def _script(instruction: Instruction) -> str:
    """The text of a heredoc alone that names its own interpreter."""
    text = instruction.heredocs[0].content if _is_whole(instruction) else ""
    return text if text.startswith("#!") else ""


def _is_whole(instruction: Instruction) -> bool:
    """Whether a heredoc is all that RUN is given."""
    return len(instruction.heredocs) == 1 and instruction.text.startswith("<<") and len(instruction.text.split()) == 1


def _command(instruction: Instruction, config: ExecutionConfig) -> list[str]:
    """RUN's words. A heredoc alone is the script itself; beside a command the shell reads it as it stands."""
    if not instruction.heredocs:
        return configuration.command_of(config, instruction)
    shell = list(configuration.shell_of(config))
    if _is_whole(instruction):
        return [*shell, instruction.heredocs[0].content]
    documents = "".join(f"{each.content}{each.name}\n" for each in instruction.heredocs)
    return [*shell, f"{instruction.text}\n{documents}"]


def _copy(instruction: Instruction, scope: Scope) -> Step:
    paths = [scope.expanded(word) if not instruction.exec_form else word for word in instruction.arguments]
    inline = {f"<<{each.name}" for each in instruction.heredocs} | {f"<<-{each.name}" for each in instruction.heredocs}
    *sources, destination = paths or [""]
    sources = [path for path in sources if path.replace('"', "").replace("'", "") not in inline]
    if not destination or (not sources and not instruction.heredocs):
        raise InvalidInput(f"{instruction.name} requires at least two arguments, but only one was provided")
    if len(sources) + len(instruction.heredocs) > 1 and not destination.endswith("/"):
        raise InvalidInput(
            f"When using {instruction.name} with more than one source file, the destination must be a directory and end with a /"
        )
    files = tuple(
        Heredoc(each.name, scope.expanded(each.content) if each.expand else each.content, False) for each in instruction.heredocs
    )
    reference = instruction.flag("from")
    number = _number(scope.known, reference.lower()) if reference else None
    history = f"{' '.join(configuration.shell_of(scope.config))} #(nop) {instruction.name} "
    work = Copy(
        sources=tuple(sources),
        destination=_absolute(destination, scope.config.get("WorkingDir") or "/"),
        stage=number,
        image=reference if number is None else "",
        owner=scope.expanded(instruction.flag("chown")),
        mode=_mode(scope.expanded(instruction.flag("chmod"))),
        extract=instruction.name == "ADD",
        checksum=scope.expanded(instruction.flag("checksum")),
        files=files,
    )
    return Step(shown(instruction), scope.config, history, work)


def _absolute(path: str, folder: str) -> str:
    """Below the working directory; what asks for a directory keeps its slash."""
    joined = posixpath.normpath(posixpath.join("/", folder, path))
    wants_directory = path.endswith("/") or posixpath.basename(path) in (".", "..")
    return f"{joined.rstrip('/')}/" if wants_directory else joined


def _mode(text: str) -> int | None:
    if not text:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise InvalidInput(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
    return mode
