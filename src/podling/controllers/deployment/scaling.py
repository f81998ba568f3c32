"""What a change of `spec.replicas` does in the middle of a rollout or a pause: every ReplicaSet gets its share.

Source: Kubernetes documentation "Proportional scaling".
"""

from podling.api.objects import Object, annotations_of, uid_of
from podling.controllers.deployment.facts import DESIRED, MAXIMUM, Facts, asked, by_age, counted, replicas
from podling.controllers.deployment.rollout import Sizes


def is_asked(facts: Facts) -> bool:
    """Whether `spec.replicas` differs from what the ReplicaSets were last scaled for."""
    wanted = (annotations_of(rs).get(DESIRED) for rs in facts.active)
    return any(value is not None and value != str(facts.replicas) for value in wanted)


def scale(facts: Facts) -> Sizes:
    """All ReplicaSets that must be written: for a new size, or to remember what they were scaled for."""
    only = _only_active(facts)
    if only is not None:
        return {uid_of(only): facts.replicas} if replicas(only) != facts.replicas or _is_stale(only, facts) else {}
    if facts.saturated:
        return {uid_of(rs): 0 for rs in facts.old_active}
    return proportional(facts) if facts.rolling else {}


def _only_active(facts: Facts) -> Object | None:
    """The one ReplicaSet to scale: the only active one, or the newest when none is active."""
    match facts.active:
        case []:
            return facts.new or (by_age(facts.old)[-1] if facts.old else None)
        case [rs]:
            return rs
    return None


def _is_stale(rs: Object, facts: Facts) -> bool:
    return annotations_of(rs).get(DESIRED) not in (None, str(facts.replicas))


def proportional(facts: Facts) -> Sizes:
    """Spread the difference over the active ReplicaSets by their share; the largest takes what rounding leaves."""
    allowed = facts.ceiling if facts.replicas else 0
    change = allowed - asked(facts.active)
    ordered = _largest_first(facts.active, newest_first=change > 0)
    sizes: Sizes = {}
    spread = 0
    for rs in ordered:
        share = _share(rs, facts, change, spread) if change else 0
        sizes[uid_of(rs)] = replicas(rs) + share
        spread += share
    if ordered and change:
        largest = uid_of(ordered[0])
        sizes[largest] = max(0, sizes[largest] + change - spread)
    return sizes


def _largest_first(sets: list[Object], *, newest_first: bool) -> list[Object]:
    ordered = by_age(sets)
    return sorted(reversed(ordered) if newest_first else ordered, key=replicas, reverse=True)


def _share(rs: Object, facts: Facts, change: int, spread: int) -> int:
    """What of `change` (of which `spread` is given away) this ReplicaSet takes."""
    left = change - spread
    share = _fraction(rs, facts)
    return min(share, left) if change > 0 else max(share, left)


def _fraction(rs: Object, facts: Facts) -> int:
    if not facts.replicas:
        return -replicas(rs)
    before = int(annotations_of(rs).get(MAXIMUM) or 0) or counted([facts.deployment], "replicas")
    if not before:
        return 0
    exact = replicas(rs) * facts.ceiling / before
    return int(exact + 0.5) - replicas(rs)
