"""Work by its size: the small at once, the large in one thread, one piece after another."""

import asyncio
import threading
import time

import pytest

from service.runtime.off_loop import IN_PLACE_BYTES, run_by_size


async def test_what_is_small_is_done_at_once():
    assert await run_by_size(IN_PLACE_BYTES, threading.current_thread) is threading.main_thread()


async def test_what_is_large_is_done_in_one_thread_while_the_loop_turns():
    at_once, most = 0, 0

    def work() -> threading.Thread:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1
        return threading.current_thread()

    found = await asyncio.gather(*(run_by_size(IN_PLACE_BYTES + 1, work) for _ in range(5)))
    assert most == 1
    (thread,) = set(found)
    assert thread is not threading.main_thread()


async def test_what_fails_fails_here():
    def fail(message: str) -> None:
        raise ValueError(message)

    for size_bytes in (0, IN_PLACE_BYTES + 1):
        with pytest.raises(ValueError, match="as it should"):
            await run_by_size(size_bytes, fail, "as it should")
