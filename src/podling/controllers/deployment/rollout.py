"""How many pods each ReplicaSet shall have next, while a Deployment moves from old templates to the new one.

Source: Kubernetes documentation "Rolling Update Deployment": never more than replicas + maxSurge pods, never fewer available
ones than replicas - maxUnavailable.
"""

from podling.api.objects import Object, is_deleting, uid_of
from podling.client.resource import PODS
from podling.controllers import pods as pod_facts
from podling.controllers.deployment.facts import Facts, asked, available, by_age, replicas
from podling.controllers.view import View

Sizes = dict[str, int]  # replicas by the uid of the ReplicaSet; only those that change


def rolling(facts: Facts) -> Sizes:
    """The next step: first up with the new one as far as allowed, then down with the old ones."""
    assert facts.new is not None
    grown = size_of_new(facts)
    if grown != replicas(facts.new):
        return {uid_of(facts.new): grown}
    return shrunk(facts)


def size_of_new(facts: Facts) -> int:
    """What the new ReplicaSet may have now. It may not exist yet."""
    current = replicas(facts.new) if facts.new else 0
    if not facts.rolling or current >= facts.replicas:
        return facts.replicas
    room = facts.ceiling - asked(facts.all)
    return current + max(0, min(room, facts.replicas - current))


def shrunk(facts: Facts) -> Sizes:
    """The old ReplicaSets' sizes after taking away what may go: unavailable pods first, wherever they are."""
    assert facts.new is not None
    floor = facts.replicas - facts.max_unavailable
    new_unavailable = replicas(facts.new) - available(facts.new)
    may_go = asked(facts.all) - floor - new_unavailable
    if may_go <= 0:
        return {}
    sizes = {uid_of(rs): replicas(rs) for rs in facts.old_active}
    _take_unavailable(facts, sizes, may_go)
    _take_available(facts, sizes, sum(_staying(rs) for rs in facts.all) - floor)
    return {uid_of(rs): sizes[uid_of(rs)] for rs in facts.old_active if sizes[uid_of(rs)] != replicas(rs)}


def _staying(rs: Object) -> int:
    """Its available pods without those that it is told to take away and still has."""
    return min(available(rs), replicas(rs))


def _take_unavailable(facts: Facts, sizes: Sizes, may_go: int) -> None:
    for rs in by_age(facts.old_active):
        take = min(may_go, max(0, replicas(rs) - available(rs)))
        sizes[uid_of(rs)] -= take
        may_go -= take


def _take_available(facts: Facts, sizes: Sizes, may_go: int) -> None:
    for rs in by_age(facts.old_active):
        take = min(max(0, may_go), sizes[uid_of(rs)])
        sizes[uid_of(rs)] -= take
        may_go -= take


def recreate(facts: Facts, view: View) -> Sizes | None:
    """All old pods go before the first new one comes. None: the old ones are gone, the new one may have its size."""
    if facts.old_active:
        return {uid_of(rs): 0 for rs in facts.old_active}
    if any(_is_running(pod) for rs in facts.old for pod in view.owned(PODS, rs)):
        return {}
    return None


def _is_running(pod: Object) -> bool:
    """A finished pod that is still there holds nothing up; one that is being deleted still runs."""
    return is_deleting(pod) or not pod_facts.is_finished(pod)
