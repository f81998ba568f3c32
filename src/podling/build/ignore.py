""".dockerignore: which paths of the context a build does not see.

Source: the Docker build manual, ".dockerignore files": patterns of Go's filepath.Match, `**` for any number of folders, `!` for
exceptions, the last match decides, and a match of a folder covers all below it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from posixpath import normpath

from podling.base.errors import InvalidInput


class Ignore:
    """The patterns of one file."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._rules = [rule for line in lines if (rule := _rule(line)) is not None]

    @classmethod
    def parse(cls, text: str) -> "Ignore":
        return cls(text.removeprefix("\ufeff").splitlines())

    def excludes(self, path: str) -> bool:
        """Whether the path, relative to the context and with slashes, is left out."""
        excluded = False
        for excludes, pattern in self._rules:
            if excludes != excluded and pattern.match(path):
                excluded = excludes
        return excluded


def _rule(line: str) -> tuple[bool, re.Pattern[str]] | None:
    if line.startswith("#"):
        return None
    text = line.strip()
    excludes = not text.startswith("!")
    text = text if excludes else text[1:].strip()
    if not text:
        return None
    text = normpath(text).lstrip("/")
    return None if text in ("", ".") and not excludes else (excludes, compile_pattern(text))


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A Go path pattern with `**`, as a regular expression that also matches everything below a matched folder.

    Raises InvalidInput.
    """
    out, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            if pattern.startswith("/", position):
                position += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        if character == "[" and (end := pattern.find("]", position + 2)) > 0:
            body = re.sub(r"[\[&|~]", r"\\\g<0>", pattern[position + 1 : end])  # what a set of Python's means more by
            out += f"[{'^' + body[1:] if body[0] == '^' else body}]"
            position = end + 1
            continue
        if character == "\\" and position + 1 < len(pattern):
            position += 1
            out += re.escape(pattern[position])
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(character) or re.escape(character)
        position += 1
    try:
        return re.compile(f"(?s:{out})(?:/|$)" if pattern != "." else "")
    except re.error:
        raise InvalidInput(f"syntax error in pattern: {pattern}") from None
