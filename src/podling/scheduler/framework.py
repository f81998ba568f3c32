"""The scheduling framework: extension points, named as upstream's, that plugins fill.

A plugin is *static* when its verdict on a node depends on the pod's signature and the node object alone, not on other pods: such
verdicts are kept from pod to pod. Others judge node by node, or, over many nodes, all rows of the snapshot's table at once (the
`mask` and `scores` of the vectorised protocols). Source: Kubernetes documentation "Scheduling Framework".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

if TYPE_CHECKING:
    from podling.scheduler.snapshot import Snapshot

MAX_SCORE = 100
Choose = Callable[[int], int]  # a number below its argument, each as likely: breaks ties

# What may make a rejected pod fit: the queue asks the plugins that rejected it.
NODE_ADDED, NODE_CHANGED, POD_LEFT, POD_CAME, POD_CHANGED = "node added", "node changed", "pod left", "pod came", "pod changed"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a node won't do, in the words of the event. `resolvable`: taking pods away might help."""

    plugin: str
    reasons: tuple[str, ...]
    resolvable: bool = True


@dataclass(slots=True)
class State:
    """What plugins keep for themselves between the steps of one cycle, by their name; `skipped` have nothing to filter."""

    kept: dict[str, Any] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)


class Plugin(Protocol):
    name: str
    wakes: frozenset[str]  # events after which a pod that this plugin rejected is worth another try


@runtime_checkable
class PreEnqueue(Protocol):
    def pre_enqueue(self, pod: PodInfo) -> Rejection | None: ...


@runtime_checkable
class PreFilter(Protocol):
    name: str

    def pre_filter(self, state: State, pod: PodInfo, snapshot: "Snapshot") -> bool:
        """Prepare. False: nothing to filter for this pod."""


@runtime_checkable
class Filter(Protocol):
    name: str
    static: bool

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
    def post_filter(self, state: State, pod: PodInfo, snapshot: "Snapshot", rejections: "Diagnosis") -> "Preemption": ...


@runtime_checkable
class PreScore(Protocol):
    name: str

    def pre_score(self, state: State, pod: PodInfo, snapshot: "Snapshot", rows: Sequence[int]) -> bool:
        """Prepare. False: all nodes are alike to this plugin."""


@runtime_checkable
class Score(Protocol):
    name: str
    static: bool

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
    def reserve(self, pod: PodInfo, node: str) -> None: ...

    def unreserve(self, pod: PodInfo, node: str) -> None: ...


@runtime_checkable
class Permit(Protocol):
    async def permit(self, pod: PodInfo, node: str) -> Rejection | None: ...


@runtime_checkable
class PreBind(Protocol):
    async def pre_bind(self, pod: PodInfo, node: str) -> None: ...


@runtime_checkable
class Bind(Protocol):
    async def bind(self, pod: PodInfo, node: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Preemption:
    """What post-filtering found: the pods to delete from a node, or in `message` why it doesn't help."""

    message: str
    node: str = ""
    victims: tuple[PodInfo, ...] = ()


@dataclass(slots=True)
class Diagnosis:
    """Why no node would do: how many nodes for which reason, and which plugins said so."""

    nodes: int
    reasons: dict[str, int] = field(default_factory=dict)
    plugins: set[str] = field(default_factory=set)
    resolvable: list[int] = field(default_factory=list)  # rows

    def copy(self) -> "Diagnosis":
        return Diagnosis(self.nodes, dict(self.reasons), set(self.plugins), list(self.resolvable))

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


@dataclass(frozen=True, eq=False)
class Profile:
    """The plugins of one scheduler, in order, with the weights of their scores."""

    name: str
    plugins: tuple[Plugin, ...]
    weights: dict[str, int]
    _by_kind: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)

    def of(self, kind: type) -> tuple[Any, ...]:
        """The plugins at one extension point."""
        return self._found((kind,), lambda plugin: isinstance(plugin, kind))

    def filters(self, *, static: bool) -> tuple[Filter, ...]:
        return self._found((Filter, static), lambda plugin: isinstance(plugin, Filter) and plugin.static is static)

    def scores(self, *, static: bool) -> tuple[Score, ...]:
        def chosen(plugin: Plugin) -> bool:
            return isinstance(plugin, Score) and plugin.static is static and bool(self.weights.get(plugin.name))

        return self._found((Score, static), chosen)

    def _found(self, key: tuple[Any, ...], chosen: Callable[[Plugin], bool]) -> tuple[Any, ...]:
        """Asked for in every cycle, found once."""
        if key not in self._by_kind:
            self._by_kind[key] = tuple(plugin for plugin in self.plugins if chosen(plugin))
        return self._by_kind[key]

    def woken_by(self, event: str, rejected_by: Iterable[str]) -> bool:
        """Whether `event` may help a pod that these plugins rejected; when nobody did it always may."""
        names = set(rejected_by)
        return not names or any(event in plugin.wakes for plugin in self.plugins if plugin.name in names)


def scaled(scores: Any, *, reverse: bool = False) -> Any:
    """Scores in proportion to the largest, which becomes 100; with `reverse` the largest becomes 0. A list or an array."""
    most = max(scores) if isinstance(scores, list) else scores.max()
    if most == 0:
        return [MAX_SCORE] * len(scores) if reverse and isinstance(scores, list) else scores + MAX_SCORE if reverse else scores
    if isinstance(scores, list):
        return [MAX_SCORE - score * MAX_SCORE // most if reverse else score * MAX_SCORE // most for score in scores]
    part = scores * MAX_SCORE // most
    return MAX_SCORE - part if reverse else part
