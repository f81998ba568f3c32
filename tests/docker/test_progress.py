"""Long work told as it goes."""

import orjson
import pytest

from podling.base.errors import NotFound
from podling.docker.progress import narrated


async def messages(response):
    return [orjson.loads(line) async for line in response.body]


async def test_what_is_told_comes_in_order():
    async def work(tell):
        for number in range(200):
            tell({"stream": str(number)})
            await tell.drain()

    told = await messages(await narrated(work))
    assert [message["stream"] for message in told] == [str(number) for number in range(200)]


async def test_an_early_error_is_raised():
    async def work(tell):
        tell({"status": "Pulling"})
        raise NotFound("no such thing")

    with pytest.raises(NotFound):
        await narrated(work, patience=2)


async def test_a_late_error_is_the_last_message():
    async def work(tell):
        tell({"status": "Pulling"})
        raise NotFound("no such thing")

    told = await messages(await narrated(work))
    assert told == [{"status": "Pulling"}, {"errorDetail": {"message": "no such thing"}, "error": "no such thing"}]


async def test_who_says_much_waits_for_who_listens():
    said = []

    async def work(tell):
        for number in range(1000):
            tell({"stream": str(number)})
            said.append(number)
            await tell.drain()

    response = await narrated(work)
    assert len(said) < 100
    assert len(await messages(response)) == 1000


async def test_nothing_told_at_all():
    async def work(tell):
        pass

    assert await messages(await narrated(work)) == []
