"""Several authorizers as one."""

from collections.abc import Sequence

from podling.apiserver.identity import Attributes, Authorizer, Decision, User
from podling.apiserver.rbac import Rule


class Union:
    """The first that allows decides; when none does, all tell why."""

    def __init__(self, *authorizers: Authorizer) -> None:
        self._authorizers = authorizers

    def authorize(self, attributes: Attributes) -> Decision:
        reasons = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, ", ".join(reasons))

    def rules(self, user: User, namespace: str) -> Sequence[Rule]:
        return [rule for authorizer in self._authorizers for rule in authorizer.rules(user, namespace)]
