"""Who a process runs as: `name`, `uid`, `name:group` or `uid:gid`, looked up in the image's accounts. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podling.base.errors import InvalidInput

_MAX_ID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class User:
    """Numbers for setuid(2), setgid(2) and setgroups(2), and the home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def lookup(asked: str, passwd: str, group: str, extra_groups: Iterable[str] = ()) -> User:
    """The user `asked` for (empty: root) by the contents of passwd(5) and group(5), plus `extra_groups` (names or numbers).

    A number needs no entry. Raises InvalidInput for a name without one.
    """
    name, _, group_name = asked.partition(":")
    account = _account(name or "0", passwd)
    if account is None and not _is_number(name or "0"):
        raise InvalidInput(f"unable to find user {name}: no matching entries in passwd file")
    user = account or User(uid=_number(name))
    if group_name:
        user = User(user.uid, _group_id(group_name, group), (), user.home)
    else:
        own_name = _name_of(user.uid, passwd)
        user = User(user.uid, user.gid, tuple(_memberships(own_name, group)), user.home)
    extra = [_group_id(word, group) for word in extra_groups]
    return User(user.uid, user.gid, tuple(dict.fromkeys((*user.groups, *extra))), user.home)


def _account(name: str, passwd: str) -> User | None:
    for fields in _entries(passwd, 7):
        if fields[0] == name or (_is_number(name) and fields[2] == name):
            return User(int(fields[2]), int(fields[3]), (), fields[5] or "/")
    return None


def _name_of(uid: int, passwd: str) -> str:
    return next((fields[0] for fields in _entries(passwd, 7) if int(fields[2]) == uid), "")


def _memberships(name: str, group: str) -> Iterator[int]:
    for fields in _entries(group, 4):
        if name and name in fields[3].split(","):
            yield int(fields[2])


def _group_id(name: str, group: str) -> int:
    for fields in _entries(group, 4):
        if fields[0] == name:
            return int(fields[2])
    if not _is_number(name):
        raise InvalidInput(f"unable to find group {name}: no matching entries in group file")
    return _number(name)


def _entries(text: str, width: int) -> Iterator[list[str]]:
    """Well-formed lines, padded to `width` fields; numbers stand in the third field (and in passwd's fourth)."""
    for line in text.splitlines():
        fields = (line.strip().split(":") + [""] * width)[:width]
        numbers = fields[2:4] if width == 7 else fields[2:3]
        if fields[0] and not fields[0].startswith("#") and all(_is_number(number) for number in numbers):
            yield fields


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _number(text: str) -> int:
    value = int(text or "0")
    if value > _MAX_ID:
        raise InvalidInput(f"uids and gids must be in range 0-{_MAX_ID}")
    return value
