"""Values that were found good. Pods come from templates, and are validated again with each update: what was good still is."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from podling.api.field import Cursor, FieldError

SIZE = 1024  # values
_LARGEST = 4096  # bytes; what is larger is seldom sent twice


class Known:
    """Wraps a check that looks at nothing but the value at its cursor."""

    def __init__(self, check: Callable[[Cursor], Iterable[FieldError]]) -> None:
        self._check = check
        self._good: set[bytes] = set()

    def __call__(self, cursor: Cursor, value: Any = ...) -> Sequence[FieldError]:
        """What is wrong. `value` is what of the cursor's value the check looks at, where that isn't all of it."""
        key = orjson.dumps(cursor.value if value is ... else value)
        if key in self._good:
            return ()
        errors = tuple(self._check(cursor))
        if not errors and len(key) <= _LARGEST:
            if len(self._good) >= SIZE:
                self._good.clear()
            self._good.add(key)
        return errors
