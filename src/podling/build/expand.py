"""Variables and quotes in a Dockerfile's words. Source: the Dockerfile reference, "Environment replacement"."""

import re
from collections.abc import Mapping

from podling.base.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand(word: str, variables: Mapping[str, str], escape: str = "\\", *, keep_quotes: bool = False) -> str:
    """`word` with `$name`, `${name}`, `${name:-word}`, `${name:+word}`, `${name-word}`, `${name+word}`, `${name:?message}`,
    prefix and suffix removal (`#`, `##`, `%`, `%%`) and `${name/pattern/text}` replaced, and quotes taken away.
    """
    return _Expansion(word, variables, escape, keep_quotes).run()


class _Expansion:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str, keep_quotes: bool) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._keep_quotes = keep_quotes
        self._at = 0

    def run(self) -> str:
        return self._until("")

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(f'failed to process "{self._text}": {what}')

    def _until(self, end: str) -> str:
        """Expand up to the character `end`, which is taken, or to the end of the text."""
        out: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == end:
                self._at += 1
                return "".join(out)
            if character == "'":
                out.append(self._single())
            elif character == '"':
                out.append(self._double())
            elif character == "$":
                out.append(self._variable())
            elif character == self._escape:
                out.append(self._escaped())
            else:
                out.append(character)
                self._at += 1
        if end:
            raise InvalidInput(
                f"failed to process {self._text!r}: unexpected end of statement while looking for matching {end!r}"
            )
        return "".join(out)

    def _escaped(self) -> str:
        self._at += 2
        if self._at > len(self._text):
            return ""
        kept = self._text[self._at - 2] if self._keep_quotes else ""
        return kept + self._text[self._at - 1]

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise InvalidInput(
                f"failed to process {self._text!r}: unexpected end of statement while looking for matching single-quote"
            )
        content = self._text[self._at + 1 : end]
        self._at = end + 1
        return f"'{content}'" if self._keep_quotes else content

    def _double(self) -> str:
        out: list[str] = []
        self._at += 1
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == '"':
                self._at += 1
                return f'"{"".join(out)}"' if self._keep_quotes else "".join(out)
            if character == "$":
                out.append(self._variable())
            elif character == self._escape and self._text[self._at + 1 : self._at + 2] in ('"', "$", self._escape):
                out.append(self._escaped())
            else:
                out.append(character)
                self._at += 1
        raise InvalidInput(
            f"failed to process {self._text!r}: unexpected end of statement while looking for matching double-quote"
        )

    def _variable(self) -> str:
        self._at += 1
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            return self._braced()
        match = _NAME.match(self._text, self._at)
        if match is None:
            return "$"
        self._at = match.end()
        return self._variables.get(match[0], "")

    def _braced(self) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._wrong("bad substitution")
        name = match[0]
        self._at = match.end()
        value = self._variables.get(name)
        operator = self._operator()
        if operator == "}":
            return value or ""
        if operator.startswith("/"):
            pattern = _glob(self._until("/"), greedy=True)
            replacement = self._until("}")
            return re.sub(pattern, lambda _: replacement, value or "", count=operator == "/")
        return self._modified(name, value, operator, self._until("}"))

    def _operator(self) -> str:
        for operator in ("}", ":-", ":+", ":?", "-", "+", "?", "##", "#", "%%", "%", "//", "/"):
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                return operator
        raise self._wrong("unsupported modifier in substitution")

    def _modified(self, name: str, value: str | None, operator: str, word: str) -> str:
        given = bool(value) if operator.startswith(":") else value is not None
        match operator[-1]:
            case "-":
                return (value or "") if given else word
            case "+":
                return word if given else ""
            case "?":
                if not given:
                    raise self._wrong(f"{name}: {word or 'parameter not set'}")
                return value or ""
            case _:
                return _trimmed(value or "", operator, word)


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """The value without the shortest (`#`, `%`) or longest (`##`, `%%`) match at its beginning or end."""
    shape = _glob(pattern, greedy=len(operator) == 2)
    if operator.startswith("#"):
        match = re.match(shape, value)
        return value[match.end() :] if match else value
    starts = range(len(value) + 1) if len(operator) == 2 else range(len(value), -1, -1)
    cut = next((start for start in starts if re.fullmatch(shape, value[start:])), len(value))
    return value[:cut]


def _glob(pattern: str, *, greedy: bool) -> str:
    star = ".*" if greedy else ".*?"
    return "".join(star if character == "*" else "." if character == "?" else re.escape(character) for character in pattern)
