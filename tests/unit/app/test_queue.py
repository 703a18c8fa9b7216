"""The work queue keeps client-go's contract."""

import asyncio

import pytest

from pgstrata.app.queue import LONGEST_RETRY, WorkQueue
from pgstrata.core.resource import ObjectKey

A = ObjectKey("SchemaVersion", "shop", "a")
B = ObjectKey("SchemaVersion", "shop", "b")


def waiting(queue: WorkQueue) -> bool:
    """Whether a `get` would have to wait."""
    getting = queue.get()
    try:
        getting.send(None)
    except StopIteration:
        return False
    getting.close()
    return True


async def test_a_key_added_twice_is_handed_out_once() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(A)

    assert await queue.get() == A
    assert waiting(queue)


async def test_keys_are_handed_out_in_the_order_of_their_coming() -> None:
    queue = WorkQueue()
    queue.add(B)
    queue.add(A)

    assert [await queue.get(), await queue.get()] == [B, A]


async def test_a_key_added_while_it_is_worked_on_comes_again_only_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A)

    assert waiting(queue)
    queue.done(A)
    assert await queue.get() == A


async def test_a_key_that_is_done_and_was_not_added_again_does_not_come_again() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.done(await queue.get())

    assert waiting(queue)


async def test_of_two_due_times_the_earlier_one_counts() -> None:
    loop = asyncio.get_running_loop()
    for delays in ((0.01, 30.0), (30.0, 0.01)):
        queue = WorkQueue()
        started = loop.time()
        for delay in delays:
            queue.add_after(A, delay)
        async with asyncio.timeout(5):
            assert await queue.get() == A
        assert loop.time() - started >= 0.009
        assert waiting(queue)


async def test_a_look_taken_now_replaces_the_one_that_was_due_later() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0.01)
    queue.add(A)
    queue.done(await queue.get())

    queue.add_after(B, 0.02)  # due after A would have been
    async with asyncio.timeout(5):
        assert await queue.get() == B


async def test_pauses_grow_with_each_failure_up_to_five_minutes_and_are_spread() -> None:
    queue = WorkQueue()
    pauses = [queue.retry(A) for _ in range(40)]

    assert 0.1 <= pauses[0] <= 0.2
    assert all(later > earlier for earlier, later in zip(pauses[:9:2], pauses[2:11:2], strict=True))
    assert max(pauses) <= LONGEST_RETRY
    assert min(pauses[20:]) >= LONGEST_RETRY / 2
    assert len(set(pauses[20:])) > 10


async def test_after_a_success_the_next_failure_is_the_first() -> None:
    queue = WorkQueue()
    for _ in range(10):
        queue.retry(A)
    queue.forget(A)

    assert queue.retry(A) <= 0.2


async def test_one_keys_failures_do_not_slow_another_down() -> None:
    queue = WorkQueue()
    for _ in range(10):
        queue.retry(A)

    assert queue.retry(B) <= 0.2


async def test_a_closed_queue_gives_nothing_out_and_is_drained_when_the_work_is_done() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(B)
    queue.close()
    queue.add(B)
    queue.add_after(B, 0.001)

    assert len(queue) == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await queue.drained()
    queue.done(A)
    async with asyncio.timeout(5):
        await queue.drained()
    assert waiting(queue)


async def test_its_length_is_what_waits_for_a_worker() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B)
    await queue.get()
    queue.add_after(A, 60)

    assert len(queue) == 1


async def test_many_workers_never_hold_the_same_key() -> None:
    queue = WorkQueue()
    keys = [ObjectKey("SchemaVersion", "shop", str(number)) for number in range(5)]
    held: set[ObjectKey] = set()
    rounds: dict[ObjectKey, int] = dict.fromkeys(keys, 0)
    enough = asyncio.Event()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in held
            held.add(key)
            rounds[key] += 1
            for other in keys:
                if rounds[other] < 20:
                    queue.add(other)
            await asyncio.sleep(0)
            held.discard(key)
            queue.done(key)
            if min(rounds.values()) >= 20:
                enough.set()

    for key in keys:
        queue.add(key)
    workers = [asyncio.create_task(work()) for _ in range(8)]
    async with asyncio.timeout(10):
        await enough.wait()
    for worker in workers:
        worker.cancel()
    ends = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
