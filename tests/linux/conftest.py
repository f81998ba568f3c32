"""What waits for file descriptors is tested on both event loops."""

import asyncio

import uvloop

ON_BOTH_LOOPS = {"test_process", "test_inotify"}


def pytest_asyncio_loop_factories(config, item):
    if item.module.__name__.rpartition(".")[2] in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
