"""Events live for an hour. Source: kube-apiserver --event-ttl."""

from podling.aio.clock import Clock
from podling.api.kind import Kind
from podling.api.objects import get
from podling.api.timestamps import parse
from podling.apiserver.cache import Item
from podling.apiserver.storage import Stale, Storage

LIFETIME_SECONDS = 60 * 60.0
SWEEP_SECONDS = 5 * 60.0


async def expire_events(storage: Storage, kind: Kind, clock: Clock) -> None:
    """Forever: remove what nobody has repeated for an hour. `kind` is that of Events as they are stored."""
    while True:
        await clock.sleep(SWEEP_SECONDS)
        end = clock.now() - LIFETIME_SECONDS
        for item in [item for item in storage.cache(kind).items() if last_seen(item) < end]:
            try:
                await storage.remove(kind, item)
            except Stale:  # it has happened again
                continue


def last_seen(item: Item) -> float:
    """When the event last happened, in seconds since the Unix epoch."""
    event = item.object
    paths = ("series.lastObservedTime", "lastTimestamp", "eventTime", "metadata.creationTimestamp")
    return max(parse(time) for path in paths if (time := get(event, path)))
