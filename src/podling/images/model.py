"""The values that the façade takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass, field

from podling.oci import reference
from podling.oci.image import Descriptor, ImageConfig


@dataclass(frozen=True, slots=True)
class Image:
    """One image of this machine's platform.

    `id` is the digest of its configuration, `tags` are familiar names with a tag, `digests` familiar names with the digest of
    what a registry has under them. `size` is in bytes, unpacked where that is known. `chain` names its snapshot, empty without
    layers. Times are seconds since the epoch: when it was added here, when it last got a name (0 for never).
    """

    id: str
    config: ImageConfig
    manifest: str
    layers: tuple[Descriptor, ...]
    chain: str
    size: int
    parent: str = ""
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    added: float = 0.0
    tagged: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One step of an image's making, the newest first; `id` is "<missing>" for all but images that exist."""

    id: str
    created: str
    created_by: str
    comment: str
    size: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A container that stands in the way of an image's removal."""

    container: str
    image: str
    running: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did, in order: a name, an image's id, or a layer's chain id each; the others are empty."""

    untagged: str = ""
    deleted: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that came in; `name` is familiar, empty for one without."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of a transfer: `id` a layer's short digest, a tag, or empty; `current`, `total` in bytes or 0."""

    status: str
    id: str = ""
    current: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a registry has now: the manifest's digest and bytes under `tag`."""

    tag: str
    digest: str
    size: int


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """The Report of who does not want any."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to answer a registry: a name and password, a token of its own, or an identity token to be exchanged."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)


ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Which registries speak plain HTTP or have certificates nobody vouches for (host[:port], or a CIDR), what to ask instead of
    Docker Hub first (URLs), and how many layers move at a time."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    certificates: str = "/etc/docker/certs.d"
    concurrency: int = 3


def display(name: str) -> str:
    """A stored reference as a person writes it."""
    return reference.parse(name).familiar
