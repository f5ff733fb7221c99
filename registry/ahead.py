"""Work done one step ahead in a thread of its own, while the database takes in the step before."""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

_END = object()


def ahead(steps: Iterator[T]) -> Generator[T, None, None]:
    """The items of `steps`, each made while the one before is used; its errors are raised here.

    At most two are there at a time: the one in use and the next.
    """
    made: queue.SimpleQueue[tuple[T | object, BaseException | None]] = queue.SimpleQueue()
    may_go_on = threading.Semaphore()
    is_left = threading.Event()

    def make() -> None:
        try:
            while may_go_on.acquire() and not is_left.is_set():
                step = next(steps, _END)
                made.put((step, None))
                if step is _END:
                    return
                del step
        except BaseException as error:  # also what is no Exception: the other thread is to end by it
            made.put((_END, error))

    maker = threading.Thread(target=make, name="ahead", daemon=True)
    maker.start()
    try:
        while True:
            step, error = made.get()
            if error is not None:
                raise error
            if step is _END:
                return
            may_go_on.release()
            yield cast(T, step)
            del step
    finally:
        is_left.set()
        may_go_on.release()
        maker.join()


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """No garbage collector meanwhile: to look for cycles among many rows took a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
