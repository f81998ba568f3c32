import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.runtime.user import User, lookup

PASSWD = "root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:33:34:www:/srv:/bin/false\nbad:x:a:b::\nshort:x:50:51\n"
GROUP = "root:x:0:\nwww:x:34:\nlogs:x:40:root,web\nmedia:x:41:web\nbroken\n"


@pytest.mark.parametrize(
    ("asked", "extra", "user"),
    [
        ("", (), User(0, 0, (40,), "/root")),
        ("root", (), User(0, 0, (40,), "/root")),
        ("web", (), User(33, 34, (40, 41), "/srv")),
        ("33", (), User(33, 34, (40, 41), "/srv")),
        ("web:logs", (), User(33, 40, (), "/srv")),
        ("web:7", (), User(33, 7, (), "/srv")),
        ("1000", (), User(1000, 0, (), "/")),
        ("1000:1001", ("media", "99", "media"), User(1000, 1001, (41, 99), "/")),
        ("short", (), User(50, 51, (), "/")),
    ],
)
def test_users(asked: str, extra: tuple[str, ...], user: User) -> None:
    assert lookup(asked, PASSWD, GROUP, extra) == user


def test_without_accounts_numbers_do() -> None:
    assert lookup("", "", "") == User(0, 0, (), "/")
    assert lookup("5:6", "", "") == User(5, 6, (), "/")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("ghost", "unable to find user ghost: no matching entries in passwd file"),
        ("bad", "unable to find user bad"),
        ("web:ghosts", "unable to find group ghosts: no matching entries in group file"),
        ("4294967296", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_who_is_not_there(asked: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        lookup(asked, PASSWD, GROUP)


@given(st.text(), st.text(), st.text())
def test_any_file_contents_are_survived(asked: str, passwd: str, group: str) -> None:
    try:
        user = lookup(asked, passwd, group)
    except InvalidInput:
        return
    assert user.uid >= 0
