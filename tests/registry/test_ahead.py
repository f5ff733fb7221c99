"""Steps made one ahead: in order, at most two at a time, ending with whoever uses them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from registry.ahead import ahead


def test_steps_come_in_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []
    assert list(ahead(iter([None, 0]))) == [None, 0]


def test_only_the_next_step_is_made_while_one_is_used() -> None:
    begun: list[int] = []
    is_begun = threading.Semaphore(0)

    def steps() -> Iterator[int]:
        for step in range(4):
            begun.append(step)
            is_begun.release()
            yield step

    with contextlib.closing(ahead(steps())) as made:
        assert next(made) == 0
        is_begun.acquire()
        is_begun.acquire()  # step 1 begins without being asked for
        assert begun == [0, 1]
        assert next(made) == 1
        is_begun.acquire()
        assert begun == [0, 1, 2]


def test_an_error_comes_behind_the_steps_before_it() -> None:
    def steps() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    made = ahead(steps())
    assert next(made) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)


def test_no_thread_outlives_its_user() -> None:
    def steps() -> Iterator[int]:
        yield from range(1_000_000)

    made = ahead(steps())
    next(made)
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
