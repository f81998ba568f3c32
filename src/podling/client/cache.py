"""The read-only copy of one resource that an informer keeps, with indexes. What comes out must not be changed.

An index is a function from an object to the values it is found by, as in a database.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from podling.api.objects import Object, key_of

IndexBy = Callable[[Object], Iterable[str]]


def by_namespace(obj: Object) -> Iterable[str]:
    return (obj["metadata"].get("namespace", ""),)


def by_owner(obj: Object) -> Iterable[str]:
    """The uids of all owners, the controller among them."""
    return [owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()]


def by_label(obj: Object) -> Iterable[str]:
    """`namespace/label=value` for each label."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    return [f"{namespace}/{name}={value}" for name, value in (metadata.get("labels") or {}).items()]


def by_node(obj: Object) -> Iterable[str]:
    """The node that a pod is bound to; "" until it is."""
    return ((obj.get("spec") or {}).get("nodeName") or "",)


INDEXES: Mapping[str, IndexBy] = {"namespace": by_namespace, "owner": by_owner, "label": by_label, "node": by_node}


class Cache:
    """Objects by key and by index. Iteration is in the order of arrival."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {}
        self._indexed_by: dict[str, IndexBy] = {}

    def index(self, name: str, by: IndexBy | None = None) -> None:
        """Keep an index from now on; a known name needs no function."""
        if name not in self._indexed_by:
            self._indexed_by[name] = by or INDEXES[name]
            self._indexes[name] = {}
            for key, obj in self._objects.items():
                self._enter(name, key, obj)

    def get(self, key: str) -> Object | None:
        return self._objects.get(key)

    def find(self, index: str, value: str) -> list[Object]:
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def count(self, index: str, value: str) -> int:
        return len(self._indexes[index].get(value, ()))

    def keys(self) -> set[str]:
        return set(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, obj: Object) -> Object | None:
        """Store `obj`; returns what was there."""
        key = key_of(obj)
        old = self.remove(key, keep=True)
        self._objects[key] = obj
        for name in self._indexed_by:
            self._enter(name, key, obj)
        return old

    def remove(self, key: str, keep: bool = False) -> Object | None:
        """Take the object out (with `keep` out of the indexes only, so that it holds its place)."""
        old = self._objects.get(key) if keep else self._objects.pop(key, None)
        if old is not None:
            for name in self._indexed_by:
                self._leave(name, key, old)
        return old

    def _enter(self, name: str, key: str, obj: Object) -> None:
        index = self._indexes[name]
        for value in self._indexed_by[name](obj):
            index.setdefault(value, {})[key] = None

    def _leave(self, name: str, key: str, obj: Object) -> None:
        index = self._indexes[name]
        for value in self._indexed_by[name](obj):
            keys = index.get(value)
            if keys is not None:
                keys.pop(key, None)
                if not keys:
                    del index[value]
