"""flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration. Source: Kubernetes API reference; pkg/apis/flowcontrol."""

import math
from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.flowcontrol.flowschema import validate_status
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import between

SHARES, QUEUES, HAND_SIZE, QUEUE_LENGTH = 30, 64, 8, 50
MOST_QUEUES, _HASH_BITS = 10_000_000, 60


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if (limited := spec.get("limited")) is not None:
        limited.setdefault("nominalConcurrencyShares", SHARES)
        limited.setdefault("lendablePercent", 0)
        _default_queuing(objects.get(limited, "limitResponse.queuing"))
    if (exempt := spec.get("exempt")) is not None:
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)


def _default_queuing(queuing: Object | None) -> None:
    if queuing is not None:
        for name, number in (("handSize", HAND_SIZE), ("queues", QUEUES), ("queueLengthLimit", QUEUE_LENGTH)):
            queuing[name] = queuing.get(name) or number


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    kind, limited, exempt = spec / "type", spec / "limited", spec / "exempt"
    if (objects.name_of(new) == "exempt") != (kind.value == "Exempt"):
        yield kind.invalid("must be 'Exempt' if and only if `name` is 'exempt'", kind.value or "")
    if kind.value == "Exempt":
        if limited.value is not None:
            yield limited.forbidden("must be nil if the type is not Limited")
        yield from _shares(exempt)
    elif kind.value == "Limited":
        if exempt.value is not None:
            yield exempt.forbidden("must be nil if the type is Limited")
        if limited.value is None:
            yield limited.required("must not be empty when type is Limited")
        else:
            yield from _limited(limited)
    else:
        yield kind.unsupported(("Exempt", "Limited"), kind.value or "")


def _shares(level: Cursor) -> Iterator[FieldError]:
    shares = level / "nominalConcurrencyShares"
    if (shares.value or 0) < 0:
        yield shares.invalid("must be a non-negative integer")
    yield from between(level / "lendablePercent", 0, 100)


def _limited(limited: Cursor) -> Iterator[FieldError]:
    yield from _shares(limited)
    borrowing = limited / "borrowingLimitPercent"
    if (borrowing.value or 0) < 0:
        yield borrowing.invalid("if specified, must be a non-negative integer")
    response = limited / "limitResponse"
    kind, queuing = response / "type", response / "queuing"
    if kind.value == "Reject":
        if queuing.value is not None:
            yield queuing.forbidden("must be nil if limited.limitResponse.type is not Limited")
    elif kind.value == "Queue":
        if queuing.value is None:
            yield queuing.required("must not be empty if limited.limitResponse.type is Limited")
        else:
            yield from _queuing(queuing)
    else:
        yield kind.unsupported(("Queue", "Reject"), kind.value or "")


def _queuing(queuing: Cursor) -> Iterator[FieldError]:
    length, queues, hand = (queuing / name for name in ("queueLengthLimit", "queues", "handSize"))
    if length.value <= 0:
        yield length.invalid("must be positive")
    if queues.value <= 0:
        yield queues.invalid("must be positive")
    elif queues.value > MOST_QUEUES:
        yield queues.invalid(f"must not be greater than {MOST_QUEUES}")
    if hand.value <= 0:
        yield hand.invalid("must be positive")
    elif hand.value > queues.value:
        yield hand.invalid(f"should not be greater than queues ({queues.value})")
    elif _entropy(queues.value, hand.value) > _HASH_BITS:
        words = f"required entropy bits of deckSize {queues.value} and handSize {hand.value} should not be greater than"
        yield hand.invalid(f"{words} {_HASH_BITS}")


def _entropy(deck: int, hand: int) -> int:
    """Bits of hash that dealing `hand` cards of `deck` uses up; a little too high, as upstream's estimate."""
    return math.ceil(math.log2(deck) * hand)


def _queue(title: str, path: str) -> Column:
    return Column(title, lambda obj, _: objects.get(obj, f"spec.limited.{path}", "<none>"))


PRIORITY_LEVEL_CONFIGURATION = Kind(
    api_version="flowcontrol.apiserver.k8s.io/v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    subresources=(STATUS,),
    generation=("spec",),
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Type", "spec.type"),
        _queue("NominalConcurrencyShares", "nominalConcurrencyShares"),
        _queue("Queues", "limitResponse.queuing.queues"),
        _queue("HandSize", "limitResponse.queuing.handSize"),
        _queue("QueueLengthLimit", "limitResponse.queuing.queueLengthLimit"),
        AGE,
    ),
)
