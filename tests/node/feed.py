"""An informer that the test feeds."""

from typing import Any

from podling.client.cache import Cache


class Feed:
    """Holds objects and tells handlers of changes, as `podling.client.informer.Informer` does."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.handlers: list[Any] = []

    def index(self, name: str, by: Any) -> "Feed":
        self.cache.index(name, by)
        return self

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)
        for obj in self.cache:
            handler(None, obj)

    def put(self, obj: Any) -> None:
        old = self.cache.put(obj)
        for handler in self.handlers:
            handler(old, obj)

    def drop(self, key: str) -> None:
        old = self.cache.remove(key)
        for handler in self.handlers:
            handler(old, None)
