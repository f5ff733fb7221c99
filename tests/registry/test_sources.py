"""The cursor of a source outlives the process that read it."""

from __future__ import annotations

from sqlalchemy import Engine

from registry.sources import Reading, last_reading, remember


def test_the_last_reading_is_remembered_by_source(engine: Engine) -> None:
    assert last_reading(engine, "podping") is None
    remember(engine, "podping", Reading('{"position": 7}', 1))
    remember(engine, "apple", Reading(None, 2, "timeout"))
    remember(engine, "podping", Reading('{"position": 8}', 3))
    assert last_reading(engine, "podping") == Reading('{"position": 8}', 3)
    assert last_reading(engine, "apple") == Reading(None, 2, "timeout")
