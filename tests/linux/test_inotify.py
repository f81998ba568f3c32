"""Changes of files, on both event loops."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.linux import inotify


async def test_a_new_and_a_written_file(tmp_path):
    with inotify.Inotify() as watcher:
        watch = watcher.add(tmp_path, inotify.CREATE | inotify.CLOSE_WRITE)
        waiting = asyncio.get_running_loop().create_task(watcher.next())
        await asyncio.sleep(0)
        (tmp_path / "a").write_text("x")
        assert await waiting == inotify.Event(watch, inotify.CREATE, "a")
        assert await watcher.next() == inotify.Event(watch, inotify.CLOSE_WRITE, "a")


async def test_a_removed_file_ends_its_watch(tmp_path):
    file = tmp_path / "a"
    file.touch()
    with inotify.Inotify() as watcher:
        watch = watcher.add(file, inotify.DELETE_SELF)
        file.unlink()
        assert [(await watcher.next()).mask, (await watcher.next()).mask] == [inotify.DELETE_SELF, inotify.IGNORED]
        watcher.remove(watch)


async def test_closing_ends_who_waits(tmp_path):
    watcher = inotify.Inotify()
    seen = []

    async def follow():
        async for event in watcher:
            seen.append(event)

    following = asyncio.get_running_loop().create_task(follow())
    await asyncio.sleep(0)
    watcher.close()
    watcher.close()
    await following
    assert seen == []


async def test_more_follow_than_there_may_be_instances(tmp_path):
    places = [tmp_path / str(number) for number in range(300)]
    with contextlib.ExitStack() as stack:
        followers = []
        for place in places:
            place.mkdir()
            followers.append(stack.enter_context(inotify.Follower(place, inotify.CREATE)))
        twice = stack.enter_context(inotify.Follower(places[7], inotify.CREATE))
        for place in places:
            (place / f"file of {place.name}").touch()
        for follower, place in zip(followers, places, strict=True):
            assert (await anext(follower)).name == f"file of {place.name}"
        assert (await anext(twice)).name == "file of 7"
    with pytest.raises(FileNotFoundError):
        inotify.Follower(tmp_path / "none", inotify.CREATE)
    assert not inotify.Shared._of_loop


async def test_a_missing_file_is_named(tmp_path):
    with inotify.Inotify() as watcher, pytest.raises(FileNotFoundError, match="missing"):
        watcher.add(tmp_path / "missing", inotify.MODIFY)


@given(st.lists(st.tuples(st.integers(-1, 99), st.text(st.characters(min_codepoint=48, max_codepoint=122), max_size=20))))
def test_events_come_back(pairs):
    data = b""
    for watch, name in pairs:
        packed = name.encode() + b"\0" * (16 - len(name) % 16) if name else b""
        data += inotify._EVENT.pack(watch, inotify.MODIFY, 0, len(packed)) + packed
    assert inotify.parse(data) == [inotify.Event(watch, inotify.MODIFY, name) for watch, name in pairs]
