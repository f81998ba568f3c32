"""What a controller is: a name, what it decides on, what else it looks at, and the deciding function."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from podling.api.objects import Object, controller_of, namespace_of
from podling.client.resource import Resource
from podling.controllers.plan import Plan
from podling.controllers.view import Key, View

Reconcile = Callable[[Object, View, float], Plan]
Gone = Callable[[Object, View], Plan]
Concerns = Callable[[Object, View], Iterable[Key]]  # whose objects a changed object concerns


Matters = Callable[[Object | None, Object | None], bool]  # of (old, new), as informers tell them


def always(old: Object | None, new: Object | None) -> bool:
    return True


def nobody(obj: Object, view: View) -> Iterable[Key]:
    """For what is only looked up."""
    return ()


@dataclass(frozen=True, slots=True)
class Watch:
    """A change of `resource` asks again about those that `concerns` names, for the object as it was and as it is.

    `indexes` are those that the decider looks up by. Only metadata: for objects whose body nobody reads; `fields` is a
    field selector, for when only some are looked at. `matters` tells
    changes from those that can't change a decision.
    """

    resource: Resource
    concerns: Concerns = nobody
    indexes: tuple[str, ...] = ()
    metadata_only: bool = False
    fields: str = ""
    matters: Matters = always


@dataclass(frozen=True, slots=True)
class Controller:
    """`reconcile(obj, view, now) -> Plan` for each object of `primary`. It is pure: no client, clock, randomness, logging.

    `gone(obj, view)` decides what is left to do when the object has gone; `obj` has its last known name and namespace only.
    `timed` are the resources of which the view tells when they last changed. Its events are said to come from `source`, by
    default `<name>-controller`.
    """

    name: str
    primary: tuple[Watch, ...]
    reconcile: Reconcile
    gone: Gone | None = None
    watches: tuple[Watch, ...] = ()
    timed: tuple[Resource, ...] = ()
    workers: int = 8
    source: str = ""


def controlled_by(owners: Resource) -> Concerns:
    """The owner of kind `owners` that controls the changed object."""

    def concerns(obj: Object, view: View) -> Iterable[Key]:
        owner = controller_of(obj)
        if owner is not None and owner["kind"] == owners.kind and owner["apiVersion"].partition("/")[0] == (owners.group or "v1"):
            return ((owners, f"{namespace_of(obj)}/{owner['name']}"),)
        return ()

    return concerns
