"""Clients that ask the prefix for `/e/…?n=` numbers on kept connections, and remember which were answered."""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Load:
    """`answered`: numbers whose answer came whole, with the redirect that it should be."""

    def __init__(self, port: int) -> None:
        self.answered: set[int] = set()
        self.faults: list[str] = []
        self._port, self._numbers, self._is_over = port, itertools.count(), threading.Event()

    def run(self, most: int) -> None:
        """Until `most` numbers are taken by all clients together, or it is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._is_over.is_set() and (number := next(self._numbers)) < most:
            path = f"/e/media.example.com/a.mp3?n={number}"
            try:
                connection.request("GET", path, headers={"User-Agent": "Overcast/3.0"})
                answer = connection.getresponse()
                answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()  # a reload closes connections: no answer to that number
                continue
            if answer.status != 302 or answer.headers["Location"] != f"https:/{path[2:]}":
                self.faults.append(f"{answer.status} {answer.headers['Location']}")
            self.answered.add(number)
        connection.close()

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def under_load(port: int, most: int, clients: int = 4) -> Iterator[Load]:
    """So many clients in the background; ends when they have asked `most` times."""
    load = Load(port)
    threads = [threading.Thread(target=load.run, args=(most,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    except BaseException:
        load.stop()
        raise
    finally:
        for thread in threads:
            thread.join()
