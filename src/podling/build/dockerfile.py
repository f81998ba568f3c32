"""A Dockerfile as stages of instructions. Pure; the text of errors is Docker's.

Source: the Dockerfile reference ("Format", "Parser directives", "Here-Documents", "Shell and exec form").
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from podling.base.errors import InvalidInput

# fmt: off
INSTRUCTIONS = frozenset([
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
])
# fmt: on
# The flags that each instruction takes.
FLAGS = {
    "ADD": {"chown", "chmod", "checksum", "keep-git-dir", "link", "exclude"},
    "COPY": {"from", "chown", "chmod", "link", "parents", "exclude"},
    "FROM": {"platform"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
    "RUN": {"mount", "network", "security"},
}
EXEC_FORM = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
HEREDOC_FORM = frozenset({"ADD", "COPY", "RUN"})
WORD_FORM = frozenset({"ADD", "COPY", "EXPOSE", "FROM", "STOPSIGNAL", "VOLUME"})
PAIR_FORM = frozenset({"ARG", "ENV", "LABEL"})

_DIRECTIVE = re.compile(r"^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$")
_HEREDOC = re.compile(r"(?<![<\w])(\d*)<<(-?)\s*([\"']?)([a-zA-Z_][\w.]*)\3(?!<)")
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")


class DockerfileError(InvalidInput):
    """The Dockerfile can't be read; names the line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"dockerfile parse error on line {line}: {message}")


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A file within the Dockerfile. `expand` is False when its name was quoted: the text is literal."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `arguments` are words, `KEY=value` pairs as (key, value) in `pairs`, or the exec form's strings.

    `text` is everything after the flags as it stands there, continuation lines joined: the shell form's command.
    """

    name: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str | None], ...] = ()
    exec_form: bool = False
    heredocs: tuple[Heredoc, ...] = ()

    def flag(self, name: str, default: str = "") -> str:
        return dict(self.flags).get(name, default)


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next. `base` and `platform` may hold variables, expanded with the global ARGs."""

    base: str
    name: str
    platform: str
    line: int
    instructions: tuple[Instruction, ...] = ()


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The whole file: the ARGs before the first FROM, the stages, and the escape character."""

    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    escape: str = "\\"


@dataclass(slots=True)
class _Source:
    """The lines, and where the reader is."""

    lines: list[str]
    position: int = 0
    directives: dict[str, str] = field(default_factory=dict)

    @property
    def escape(self) -> str:
        return self.directives.get("escape", "\\")


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile. Raises DockerfileError (InvalidInput)."""
    source = _Source(text.removeprefix("\ufeff").splitlines())
    _read_directives(source)
    instructions = list(_instructions(source))
    if not instructions:
        raise InvalidInput("the Dockerfile cannot be empty" if not text.strip() else "file with no instructions")
    return _staged(instructions, source.escape)


def parse_instruction(text: str, line: int = 1) -> Instruction:
    """One instruction by itself, as in ONBUILD triggers and `docker commit --change`."""
    return _instruction(text.strip(), line, (), "\\")


def _read_directives(source: _Source) -> None:
    """Directives stand before anything else; the first line that is none ends them."""
    while source.position < len(source.lines):
        match = _DIRECTIVE.match(source.lines[source.position].strip())
        if match is None or match[1].lower() not in ("escape", "syntax", "check"):
            return
        name, value = match[1].lower(), match[2]
        if name in source.directives:
            raise DockerfileError(source.position + 1, f"only one {name} parser directive can be used")
        if name == "escape" and value not in ("\\", "`"):
            raise DockerfileError(source.position + 1, f"invalid escape token '{value}' does not match ` or \\")
        source.directives[name] = value
        source.position += 1


def _instructions(source: _Source) -> Iterator[Instruction]:
    while source.position < len(source.lines):
        line = source.position + 1
        logical = _logical_line(source)
        if logical:
            heredocs = tuple(_heredocs(logical, source, line)) if _name_of(logical) in HEREDOC_FORM else ()
            yield _instruction(logical, line, heredocs, source.escape)


def _name_of(logical: str) -> str:
    return logical.split(None, 1)[0].upper()


def _logical_line(source: _Source) -> str:
    """The next line with its continuations, without comments; empty when there was only a comment or nothing."""
    pieces: list[str] = []
    ending = re.compile(re.escape(source.escape) + r"[ \t]*$")
    while source.position < len(source.lines):
        raw = source.lines[source.position]
        source.position += 1
        if raw.lstrip().startswith("#") or (pieces and not raw.strip()):
            if not pieces:
                return ""
            continue
        continued = ending.search(raw)
        pieces.append(raw[: continued.start()] if continued else raw)
        if not continued:
            break
    return "".join(pieces).strip()


def _heredocs(logical: str, source: _Source, line: int) -> Iterator[Heredoc]:
    if _is_exec_form(_after_flags(logical.split(None, 1)[-1])):
        return
    for _, dash, quote, name in _HEREDOC.findall(logical):
        content: list[str] = []
        while True:
            if source.position >= len(source.lines):
                raise DockerfileError(line, f"unterminated heredoc {name}")
            raw = source.lines[source.position]
            source.position += 1
            if (raw.lstrip("\t") if dash else raw) == name:
                break
            content.append((raw.lstrip("\t") if dash else raw) + "\n")
        yield Heredoc(name, "".join(content), not quote)


def _after_flags(text: str) -> str:
    while match := _FLAG.match(text):
        text = text[match.end() :]
    return text


def _is_exec_form(text: str) -> bool:
    return _json_strings(text) is not None


def _json_strings(text: str) -> list[str] | None:
    """The strings of a JSON array, or None when `text` is none: then it is the shell form."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _instruction(logical: str, line: int, heredocs: tuple[Heredoc, ...], escape: str) -> Instruction:
    word, *after = logical.split(None, 1)
    name, rest = word.upper(), after[0].strip() if after else ""
    if name not in INSTRUCTIONS:
        raise DockerfileError(line, f"unknown instruction: {word}")
    flags, text = _flags(name, rest, line)
    if not text and not heredocs and not (name == "HEALTHCHECK" and flags):
        raise DockerfileError(line, f"{name} requires at least one argument")
    strings = _json_strings(text) if name in EXEC_FORM else None
    arguments: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str | None], ...] = ()
    if strings is not None:
        arguments = tuple(strings)
    elif name in PAIR_FORM:
        pairs = _pairs(name, text, line, escape)
    elif name in WORD_FORM:
        arguments = tuple(split_words(text, escape))
    else:
        arguments = (text,)
    return Instruction(name, text, line, flags, arguments, pairs, strings is not None, heredocs)


def _flags(name: str, text: str, line: int) -> tuple[tuple[tuple[str, str], ...], str]:
    flags: list[tuple[str, str]] = []
    known = FLAGS.get(name, set())
    while known and (match := _FLAG.match(text)):
        if match[1] not in known:
            raise DockerfileError(line, f"unknown flag: --{match[1]}")
        flags.append((match[1], match[2] if match[2] is not None else "true"))
        text = text[match.end() :]
    return tuple(flags), text


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Words separated by blanks; quotes and the escape character keep blanks together and stay in the word."""
    words: list[str] = []
    word, quote, position = "", "", 0
    while position < len(text):
        character = text[position]
        if character == escape and quote != "'" and position + 1 < len(text):
            word += text[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character.isspace():
            if word:
                words.append(word)
            word = ""
            position += 1
            continue
        word += character
        position += 1
    return [*words, word] if word else words


def _pairs(name: str, text: str, line: int, escape: str) -> tuple[tuple[str, str | None], ...]:
    words = split_words(text, escape)
    if name == "ARG":
        return tuple((key, value if equals else None) for key, equals, value in (word.partition("=") for word in words))
    if "=" not in words[0]:
        # The old form: one name, and the rest of the line as its value.
        key, _, value = text.partition(" ")
        if not value.strip():
            raise DockerfileError(line, f"{name} must have two arguments")
        return ((key, value.strip()),)
    for word in words:
        if "=" not in word:
            raise DockerfileError(line, f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value')
        if word.startswith("="):
            raise DockerfileError(line, f"{name} names can not be blank")
    return tuple((key, value) for key, _, value in (word.partition("=") for word in words))


def _staged(instructions: list[Instruction], escape: str) -> Dockerfile:
    arguments: list[Instruction] = []
    stages: list[Stage] = []
    collected: list[Instruction] = []

    def close() -> None:
        if stages:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, last.platform, last.line, tuple(collected))
            collected.clear()

    for instruction in instructions:
        if instruction.name == "FROM":
            close()
            stages.append(_stage(instruction))
        elif stages:
            collected.append(instruction)
        elif instruction.name == "ARG":
            arguments.append(instruction)
        else:
            raise DockerfileError(instruction.line, "no build stage in current context")
    close()
    if not stages:
        raise DockerfileError(instructions[-1].line, "no build stage in current context")
    return Dockerfile(tuple(arguments), tuple(stages), escape)


def _stage(instruction: Instruction) -> Stage:
    words = instruction.arguments
    if not (len(words) == 1 or (len(words) == 3 and words[1].lower() == "as")):
        raise DockerfileError(instruction.line, "FROM requires either one or three arguments")
    name = "".join(words[2:]).lower()
    if name and not re.fullmatch(r"[a-z][a-z0-9_.-]*", name):
        raise DockerfileError(
            instruction.line, f'invalid name for build stage: "{name}", name can\'t start with a number or contain symbols'
        )
    return Stage(words[0], name, instruction.flag("platform"), instruction.line)
