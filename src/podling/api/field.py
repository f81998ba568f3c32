"""Field errors and the cursor that finds them. Source: k8s.io/apimachinery util/validation/field."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# reason of a status cause -> how a person reads it
_WORDS = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}
OMITTED: Any = object()  # an invalid value that is better not shown
_WITHOUT_VALUE = {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"}


def quote(text: str) -> str:
    """`text` as Go's %q prints it."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field. `reason` is the machine's word (FieldValueInvalid ...), `path` as in `spec.ports[0].name`."""

    reason: str
    path: str
    value: Any = None
    detail: str = ""

    @property
    def body(self) -> str:
        """The message without the path: `Invalid value: -1: must be greater than or equal to 0`."""
        text = _WORDS[self.reason]
        if self.reason not in _WITHOUT_VALUE and self.value is not OMITTED:
            text += f": {_show(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    @property
    def message(self) -> str:
        return f"{self.path}: {self.body}"

    def __str__(self) -> str:
        return self.message


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Cursor:
    """A value inside an object that knows its own path. `cursor / "spec"` goes down; what is absent is None and goes down too."""

    __slots__ = ("_key", "_parent", "value")

    def __init__(self, value: Any, parent: "Cursor | None" = None, key: str = "") -> None:
        self.value = value
        self._parent = parent
        self._key = key

    def __truediv__(self, name: str) -> "Cursor":
        value = self.value
        return Cursor(value.get(name) if value else None, self, name)

    def __bool__(self) -> bool:
        """Whether there is anything: as Go's omitempty sees it."""
        return bool(self.value)

    def __contains__(self, name: str) -> bool:
        return bool(self.value) and name in self.value

    def get(self, name: str, default: Any = None) -> Any:
        """The plain value of a member; `default` when it is absent or null."""
        value = self.value.get(name) if self.value else None
        return default if value is None else value

    def __iter__(self) -> Iterator["Cursor"]:
        """Each item of a list."""
        for index, item in enumerate(self.value or ()):
            yield Cursor(item, self, f"[{index}]")

    def entries(self) -> Iterator[tuple[str, "Cursor"]]:
        """Each key of a map with its value."""
        for key, item in (self.value or {}).items():
            yield key, Cursor(item, self, f"[{key}]")

    @property
    def path(self) -> str:
        keys: list[str] = []
        cursor: Cursor | None = self
        while cursor is not None:
            keys.append(cursor._key)
            cursor = cursor._parent
        text = ""
        for key in reversed(keys):
            text += f".{key}" if text and not key.startswith("[") else key
        return text

    def required(self, detail: str = "") -> FieldError:
        return FieldError("FieldValueRequired", self.path, None, detail)

    def invalid(self, detail: str, value: Any = ...) -> FieldError:
        return FieldError("FieldValueInvalid", self.path, self.value if value is ... else value, detail)

    def duplicate(self, value: Any = ...) -> FieldError:
        return FieldError("FieldValueDuplicate", self.path, self.value if value is ... else value)

    def not_found(self, value: Any = ...) -> FieldError:
        return FieldError("FieldValueNotFound", self.path, self.value if value is ... else value)

    def unsupported(self, supported: Iterable[str], value: Any = ...) -> FieldError:
        names = ", ".join(quote(name) for name in supported)
        detail = f"supported values: {names}" if names else ""
        return FieldError("FieldValueNotSupported", self.path, self.value if value is ... else value, detail)

    def forbidden(self, detail: str) -> FieldError:
        return FieldError("FieldValueForbidden", self.path, None, detail)

    def too_long(self, limit: int) -> FieldError:
        return FieldError("FieldValueTooLong", self.path, None, f"may not be more than {limit} bytes")

    def too_many(self, count: int, limit: int) -> FieldError:
        return FieldError("FieldValueTooMany", self.path, count, f"must have at most {limit} items")


def at(obj: dict[str, Any], *names: str) -> Cursor:
    """A cursor at `names` below `obj`: `at(pod, "spec", "containers")`."""
    cursor = Cursor(obj)
    for name in names:
        cursor = cursor / name
    return cursor
