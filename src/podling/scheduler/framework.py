"""The scheduling framework: extension points, named as upstream's, that plugins fill.

A plugin is any object with a `name` and the methods of the extension points that it fills. Those of the scheduling cycle (up to
Permit) are pure and synchronous; PreBind, Bind and PostBind are coroutines. A rejection says why; None is success.

Two marks make a plugin cheap over many nodes; without them it is asked in each cycle, node by node:

- `static`: its verdict on a node depends on the pod's signature and the node object alone, not on other pods.
- `local`: it depends on the pod's template and on the node with its pods, and its scores need no normalising.

Both are kept from pod to pod, and asked again for the nodes that changed. Others may judge all rows of the snapshot at once
(`mask`, `scores`). Source: Kubernetes documentation "Scheduling Framework".
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from podling.api.objects import Object
from podling.client.resource import Resource
from podling.scheduler.events import EventWithHint
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

if TYPE_CHECKING:
    from podling.scheduler.snapshot import Snapshot

MAX_SCORE = 100
Choose = Callable[[int], int]  # a number below its argument, each as likely: breaks ties


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a node won't do, in the words of the event. `resolvable`: taking pods away might help."""

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool = True

    @property
    def message(self) -> str:
        return ", ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Wait:
    """A Permit plugin's word: the pod waits so many seconds for being allowed, then it is rejected."""

    seconds: float


@dataclass(slots=True)
class State:
    """What plugins keep for themselves between the steps of one cycle, by their name; `skipped` have nothing to filter."""

    kept: dict[str, Any] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    def clone(self) -> "State":
        """A copy to try things on: what is kept is copied where it has a `clone` method."""
        kept = {name: value.clone() if hasattr(value, "clone") else value for name, value in self.kept.items()}
        return State(kept, self.skipped)


class Lister(Protocol):
    """A read-only cache of one resource, as an informer keeps it."""

    def get(self, key: str) -> Object | None: ...

    def __iter__(self) -> Iterator[Object]: ...


class WaitingPod(Protocol):
    """A pod that Permit plugins have told to wait."""

    pod: PodInfo
    node: str

    def allow(self, plugin: str) -> None:
        """`plugin` lets it go; it goes when all that made it wait have said so."""

    def reject(self, plugin: str, message: str) -> None: ...


class _Nothing:
    def get(self, key: str) -> Object | None:
        return None

    def __iter__(self) -> Iterator[Object]:
        return iter(())


def _no_objects(resource: Resource) -> Lister:
    return _Nothing()


Until = Callable[[Resource, str, Callable[[Object | None], bool], float], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Handle:
    """What a plugin may use beside its arguments: caches of the API's objects, the pods that wait, and the API itself.

    `client` is a podling.client.Client; `until` waits so many seconds for an object (by key) to be as a function wants it, and
    tells whether it came to that. Only PreBind, Bind and PostBind may use these two.
    """

    objects: Callable[[Resource], Lister] = _no_objects
    waiting: Callable[[], Collection[WaitingPod]] = tuple
    client: Any = None
    until: Until | None = None


class Plugin(Protocol):
    name: str


Factory = Callable[[Object, Handle], Plugin]  # of its arguments (pluginConfig), and the handle


@runtime_checkable
class EnqueueExtensions(Protocol):
    def events_to_register(self) -> Iterable[EventWithHint]:
        """After which events a pod that this plugin rejected is worth another try. A plugin without this: after all."""


@runtime_checkable
class PreEnqueue(Protocol):
    def pre_enqueue(self, pod: PodInfo) -> Rejection | None: ...


@runtime_checkable
class QueueSort(Protocol):
    def sort_key(self, pod: PodInfo, since: float) -> Any:
        """What waiting pods are sorted by, ascending. `since` is when the pod came, in seconds."""


@runtime_checkable
class PreFilter(Protocol):
    name: str

    def pre_filter(self, state: State, pod: PodInfo, snapshot: "Snapshot") -> "bool | Rejection | frozenset[str]":
        """Prepare. False: nothing to filter for this pod. A set of names: only these nodes come into question."""


@runtime_checkable
class PreFilterExtensions(Protocol):
    """Keeps what PreFilter prepared right while preemption tries what happens without a pod, or with it."""

    def add_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None: ...

    def remove_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None: ...


@runtime_checkable
class Filter(Protocol):
    name: str

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None: ...


@runtime_checkable
class VectorFilter(Protocol):
    name: str

    def mask(self, state: State, pod: PodInfo, snapshot: "Snapshot") -> Any:
        """A boolean array over all rows: those that pass."""


@runtime_checkable
class VectorReasons(Protocol):
    """A vectorised filter that can also say why."""

    def reasons(self, state: State, pod: PodInfo, snapshot: "Snapshot", rows: Any) -> tuple[dict[str, int], list[int]]:
        """Why this plugin rejects `rows`: how often for which reason, and the rows where taking pods away might help."""


@runtime_checkable
class PostFilter(Protocol):
    def post_filter(self, state: State, pod: PodInfo, snapshot: "Snapshot", diagnosis: "Diagnosis") -> "PostFilterResult": ...


@runtime_checkable
class PreScore(Protocol):
    name: str

    def pre_score(self, state: State, pod: PodInfo, snapshot: "Snapshot", rows: Sequence[int]) -> bool:
        """Prepare. False: all nodes are alike to this plugin."""


@runtime_checkable
class Score(Protocol):
    name: str

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float: ...


@runtime_checkable
class VectorScore(Protocol):
    def scores(self, state: State, pod: PodInfo, snapshot: "Snapshot", rows: Any) -> Any:
        """An array of scores for `rows`."""


@runtime_checkable
class NormalizeScore(Protocol):
    def normalize(self, scores: Any) -> Any:
        """Scores from 0 to 100; a list or an array, as given."""


@runtime_checkable
class Reserve(Protocol):
    """Undone in reverse order, also where a later step fails; unreserving what isn't reserved is harmless."""

    def reserve(self, state: State, pod: PodInfo, node: str) -> Rejection | None: ...

    def unreserve(self, state: State, pod: PodInfo, node: str) -> None: ...


@runtime_checkable
class Permit(Protocol):
    name: str

    def permit(self, state: State, pod: PodInfo, node: str) -> Rejection | Wait | None: ...


@runtime_checkable
class PreBind(Protocol):
    async def pre_bind(self, state: State, pod: PodInfo, node: str) -> Rejection | None: ...


@runtime_checkable
class Bind(Protocol):
    async def bind(self, state: State, pod: PodInfo, node: str) -> bool:
        """False: not this plugin's pod, the next one binds it. Raises what the API raises."""


@runtime_checkable
class PostBind(Protocol):
    async def post_bind(self, state: State, pod: PodInfo, node: str) -> None: ...


POINTS: dict[str, type] = {
    "preEnqueue": PreEnqueue,
    "queueSort": QueueSort,
    "preFilter": PreFilter,
    "filter": Filter,
    "postFilter": PostFilter,
    "preScore": PreScore,
    "score": Score,
    "reserve": Reserve,
    "permit": Permit,
    "preBind": PreBind,
    "bind": Bind,
    "postBind": PostBind,
}


@dataclass(frozen=True, slots=True)
class PostFilterResult:
    """The pods to delete from a node, or in `message` why it doesn't help. `nominated` None leaves the pod's nomination."""

    message: str
    nominated: str | None = None
    victims: tuple[PodInfo, ...] = ()


@dataclass(slots=True)
class Diagnosis:
    """Why no node would do: how many nodes for which reason, and which plugins said so."""

    nodes: int
    reasons: dict[str, int] = field(default_factory=dict)
    plugins: set[str] = field(default_factory=set)
    resolvable: list[int] = field(default_factory=list)  # rows
    pre_filter: str = ""  # a PreFilter plugin's word about all nodes

    def copy(self) -> "Diagnosis":
        return Diagnosis(self.nodes, dict(self.reasons), set(self.plugins), list(self.resolvable), self.pre_filter)

    def count(self, plugin: str, reasons: dict[str, int], resolvable: list[int]) -> None:
        for reason, number in reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + number
        if reasons:
            self.plugins.add(plugin)
        self.resolvable += resolvable

    def add(self, rejection: Rejection, row: int) -> None:
        for reason in rejection.reasons:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.plugins.add(rejection.plugin)
        if rejection.resolvable:
            self.resolvable.append(row)

    @property
    def message(self) -> str:
        """`0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.`"""
        text = f"0/{self.nodes} nodes are available:"
        if self.pre_filter:
            return f"{text} {self.pre_filter}."
        parts = sorted(f"{count} {reason}" for reason, count in self.reasons.items() if count)
        return f"{text} {', '.join(parts)}." if parts else text


def scaled(scores: Any, *, reverse: bool = False) -> Any:
    """Scores in proportion to the largest, which becomes 100; with `reverse` the largest becomes 0. A list or an array."""
    most = max(scores) if isinstance(scores, list) else scores.max()
    if most == 0:
        return [MAX_SCORE] * len(scores) if reverse and isinstance(scores, list) else scores + MAX_SCORE if reverse else scores
    if isinstance(scores, list):
        return [MAX_SCORE - score * MAX_SCORE // most if reverse else score * MAX_SCORE // most for score in scores]
    part = scores * MAX_SCORE // most
    return MAX_SCORE - part if reverse else part
