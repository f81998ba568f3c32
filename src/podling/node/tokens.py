"""Service-account tokens of pods, bound to the pod, kept until four fifths of their life are over."""

from podling.aio.clock import Clock
from podling.api.timestamps import parse
from podling.client.client import Client
from podling.node.pod.spec import Object, uid_of

_RENEW_AFTER = 0.8


class TokenCache:
    """Asks the API server by TokenRequest."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[tuple[str, tuple[str, ...], int], tuple[str, float]] = {}

    async def get(self, pod: Object, audiences: tuple[str, ...], seconds: int) -> tuple[str, float]:
        """A token for the pod's service account, and unix seconds of when to ask for the next."""
        key = (uid_of(pod), audiences, seconds)
        now = self._clock.now()
        if key not in self._known or self._known[key][1] <= now:
            self._known[key] = await self._ask(pod, audiences, seconds, now)
        return self._known[key]

    async def _ask(self, pod: Object, audiences: tuple[str, ...], seconds: int, now: float) -> tuple[str, float]:
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName") or "default"
        reference = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        token, expires = await self._client.create_token(
            account, metadata["namespace"], audiences=audiences, seconds=seconds, bound_to=reference
        )
        return token, now + _RENEW_AFTER * (parse(expires) - now)

    def forget(self, uid: str) -> None:
        for key in [key for key in self._known if key[0] == uid]:
            del self._known[key]
