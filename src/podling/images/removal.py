"""What `docker rmi` removes and when it refuses, as Docker decides it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from podling.base import ids
from podling.base.errors import Conflict
from podling.images.model import User
from podling.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Plan:
    """The references to drop, in order, and whether the image goes too."""

    untag: tuple[Reference, ...]
    delete: bool


def plan_by_name(
    image: str, asked: str, name: Reference, references: Sequence[Reference], users: Sequence[User], children: bool, force: bool
) -> Plan:
    """Remove one name, and the image with its last. `asked` is what the person typed. Raises Conflict."""
    if not force and _is_single(references) and users:
        raise Conflict(
            f'conflict: unable to remove repository reference "{asked}" (must force) - container '
            f"{ids.short(users[0].container)} is using its referenced image {ids.short(image)}"
        )
    untag = [name]
    rest = [other for other in references if other != name]
    if not name.digest and not any(other.name == name.name and not other.digest for other in rest):
        untag += [other for other in rest if other.name == name.name]
        rest = [other for other in rest if other.name != name.name]
    if rest:
        return Plan(tuple(untag), delete=False)
    used = next((user for user in users if user.running or not force), None)
    if used is not None or children:
        return Plan(tuple(untag), delete=False)
    return Plan(tuple(untag), delete=True)


def plan_by_id(image: str, references: Sequence[Reference], users: Sequence[User], children: bool, force: bool) -> Plan:
    """Remove an image with all its names. Raises Conflict where it is used, or needs force because of several names."""
    _check(image, references, users, children, force, several=not _is_single(references))
    return Plan(tuple(references), delete=True)


def _check(
    image: str, references: Sequence[Reference], users: Sequence[User], children: bool, force: bool, *, several: bool
) -> None:
    if children:
        raise _conflict(image, "cannot be forced", "image has dependent child images")
    for user in users:
        if user.running:
            reason = f"image is being used by running container {ids.short(user.container)}"
            raise _conflict(image, "cannot be forced", reason)
    if force:
        return
    if several and references:
        raise _conflict(image, "must be forced", "image is referenced in multiple repositories")
    for user in users:
        raise _conflict(image, "must be forced", f"image is being used by stopped container {ids.short(user.container)}")


def _conflict(image: str, how: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {ids.short(image)} ({how}) - {reason}")


def _is_single(references: Sequence[Reference]) -> bool:
    """At most one tag, and every digest in the same repository: removing all of them loses one name only."""
    if len(references) <= 1:
        return True
    tagged = [reference for reference in references if not reference.digest]
    repositories = {reference.name for reference in references if reference.digest}
    if len(tagged) > 1:
        return False
    single = (tagged or list(references))[0]
    return repositories == {single.name}
