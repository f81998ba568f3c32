"""From a method and a path to a handler, and what a handler gets.

Paths come with or without a version (`/v1.47/containers/json`). In a pattern `{name}` is one segment, `{name...}` any number,
as the names of images have.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from podling.aio.http import Headers, Query, Request, Response
from podling.base.errors import InvalidInput

MINIMUM_VERSION = (1, 24)
VERSION = (1, 51)
_PREFIX = re.compile(r"^/v(\d+)\.(\d+)(?=/)")
_PLACEHOLDER = re.compile(r"\{(\w+)(\.\.\.)?\}")
_TRUE = frozenset({"1", "true", "True", "TRUE", "t", "T", "yes", "on"})
MAX_BODY = 16 << 20

Engine = TypeVar("Engine")


@dataclass(slots=True)
class Call:
    """One request. `path` are the pattern's placeholders, `version` what the client speaks."""

    request: Request
    path: dict[str, str]
    version: tuple[int, int] = VERSION
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def query(self) -> Query:
        return self.request.query

    @property
    def headers(self) -> Headers:
        return self.request.headers

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean of the query, as Docker reads them."""
        return self.query.get(name) in _TRUE if name in self.query else default

    def number(self, name: str, default: int = 0) -> int:
        """A whole number of the query. Raises InvalidInput."""
        text = self.query.get(name)
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise InvalidInput(f'strconv.Atoi: parsing "{text}": invalid syntax') from None

    def filters(self) -> dict[str, list[str]]:
        """The `filters` of the query: JSON, name to values; the old form maps each value to true."""
        text = self.query.get("filters")
        if not text:
            return {}
        try:
            given = orjson.loads(text)
            found = {name: list(values) for name, values in given.items() if not isinstance(values, str)}
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            raise InvalidInput("invalid filter") from None
        if len(found) != len(given) or not all(isinstance(value, str) for values in found.values() for value in values):
            raise InvalidInput("invalid filter")
        return found

    async def json(self) -> dict[str, Any]:
        """The body, a JSON object; empty where there is none. Raises InvalidInput."""
        body = await self.request.body(MAX_BODY)
        try:
            given = orjson.loads(body) if body else {}
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"invalid JSON: {error}") from None
        if not isinstance(given, dict | None):
            raise InvalidInput("invalid JSON: the body is no object")
        return given or {}


Handler = Callable[..., Awaitable[Response | None]]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler


@contextmanager
def well_formed() -> Iterator[None]:
    """Around the translation of a body: a member of the wrong type is the client's mistake (InvalidInput)."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"invalid JSON: a member is missing or has the wrong type: {error}") from None


class Routes:
    """The routes of one group of endpoints, or of all of them together."""

    def __init__(self) -> None:
        self._routes: list[_Route] = []

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("GET", path)

    def head(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("HEAD", path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("POST", path)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("PUT", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        return self._add("DELETE", path)

    def include(self, other: "Routes") -> None:
        self._routes += other._routes

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The handler and the placeholders' values. The first route that fits decides."""
        for route in self._routes:
            if route.method == method and (match := route.pattern.fullmatch(path)) is not None:
                return route.handler, match.groupdict()
        return None

    def _add(self, method: str, path: str) -> Callable[[Handler], Handler]:
        pattern = re.compile(_PLACEHOLDER.sub(lambda name: f"(?P<{name[1]}>{'.+' if name[2] else '[^/]+'})", path))

        def register(handler: Handler) -> Handler:
            self._routes.append(_Route(method, pattern, handler))
            return handler

        return register


def split_version(path: str) -> tuple[tuple[int, int], str]:
    """The API version that the path asks for (the newest when it names none), and the path without it.

    Raises InvalidInput for versions that we don't speak.
    """
    match = _PREFIX.match(path)
    if match is None:
        return VERSION, path
    version = (int(match[1]), int(match[2]))
    if version < MINIMUM_VERSION:
        raise InvalidInput(
            f"client version {text(version)} is too old. Minimum supported API version is {text(MINIMUM_VERSION)}, "
            "please upgrade your client to a newer version"
        )
    if version > VERSION:
        raise InvalidInput(f"client version {text(version)} is too new. Maximum supported API version is {text(VERSION)}")
    return version, path[match.end() :]


def text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
