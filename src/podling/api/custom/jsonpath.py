"""The simple JSONPath of printer columns: members, indexes, `[*]`, and filters that compare a member with a literal.

Source: Kubernetes documentation "JSONPath Support", "Additional printer columns".
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

Step = Callable[[Any], Iterable[Any]]

_TOKEN = re.compile(
    r"""\.(?P<member>(?:\\.|[^.\[\\])+)
      | \[(?P<quoted>'[^']*'|"[^"]*")\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[\?\(@\.(?P<name>[\w.-]+)\s*(?P<operator>==|!=)\s*(?P<literal>'[^']*'|"[^"]*"|[\w.-]+)\)\]""",
    re.VERBOSE,
)


class PathError(ValueError):
    """No JSONPath that columns may have."""


def compile_path(path: str) -> Callable[[Any], list[Any]]:
    """All values at `path` in an object. Raises PathError."""
    steps: list[Step] = []
    position = 0
    while position < len(path):
        found = _TOKEN.match(path, position)
        if found is None:
            raise PathError(f"unexpected {path[position:]!r}")
        steps.append(_step(found))
        position = found.end()
    if not steps:
        raise PathError("is empty")

    def read(obj: Any) -> list[Any]:
        values = [obj]
        for step in steps:
            values = [below for value in values for below in step(value)]
        return values

    return read


def _step(found: re.Match[str]) -> Step:
    if found["member"] is not None:
        return _member(re.sub(r"\\(.)", r"\1", found["member"]))
    if found["quoted"] is not None:
        return _member(found["quoted"][1:-1])
    if found["index"] is not None:
        return _item(int(found["index"]))
    if found["all"] is not None:
        return lambda value: value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return _filter(found["name"], found["operator"] == "==", _literal(found["literal"]))


def _member(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and value.get(name) is not None else ()


def _item(index: int) -> Step:
    return lambda value: (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()


def _filter(name: str, wanted: bool, literal: Any) -> Step:
    read = compile_path(f".{name}")
    return lambda value: [each for each in value if (read(each) == [literal]) is wanted] if isinstance(value, list) else ()


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    try:
        return orjson.loads(text)
    except ValueError:
        return text
