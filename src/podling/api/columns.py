"""Printed columns that many kinds share."""

from podling.api.kind import NAME, Cell, Column, Object
from podling.api.objects import annotations_of, get, name_of
from podling.api.timestamps import Ago, ago

__all__ = ["AGE", "CREATED", "NAME", "age_of", "count_of", "default_name", "joined"]


def age_of(obj: Object, _: float) -> Ago | str:
    return ago(get(obj, "metadata.creationTimestamp"))


def count_of(*paths: str) -> Cell:
    """How many entries the maps or lists at `paths` have together."""
    return lambda obj, _: sum(len(get(obj, path, ())) for path in paths)


def default_name(annotation: str) -> Column:
    """The name, marked where `annotation` says that this one is the default of its kind."""

    def cell(obj: Object, _: float) -> str:
        return name_of(obj) + (" (default)" if annotations_of(obj).get(annotation) == "true" else "")

    return Column("Name", cell, format="name", description=NAME.description)


def joined(pairs: dict[str, str] | None) -> str:
    """`a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((pairs or {}).items())) or "<none>"


AGE = Column(
    "Age",
    age_of,
    description="CreationTimestamp is a timestamp representing the server time when this object was created.",
)
CREATED = Column("Created At", "metadata.creationTimestamp")
