"""The catalogue in docs/webhooks.md is what the models say, and every body that goes out is valid by it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from ingest.feeds.schema import ChangeType
from registry.delivery_log import BATCH
from serving.webhooks.catalogue import (
    BEGIN,
    DOCS,
    END,
    documented,
    example,
    markdown,
    schema,
    types,
    whole_schema,
)
from serving.webhooks.messages import BatchData
from serving.webhooks.payload import Event, body
from tests.serving.webhooks.test_payload import events_of_one_record

WHOLE = Draft202012Validator(whole_schema())
NOTICES = {"webhook.challenge", "webhook.test", "subscription.disabled"}


def test_the_docs_hold_the_catalogue_as_the_models_have_it() -> None:
    text = DOCS.read_text("utf-8")
    assert documented(text, markdown()) == text, "run: python -m serving.webhooks.catalogue"


def test_without_its_marks_the_catalogue_is_not_written() -> None:
    for text in ("", BEGIN, END, f"{END} {BEGIN}"):
        with pytest.raises(ValueError, match="marks"):
            documented(text, "x")


def test_every_change_and_notice_is_in_the_catalogue() -> None:
    changes = {str(change) for change in ChangeType if change is not ChangeType.PODCAST_ADDED}
    assert set(types()) == changes | NOTICES | {BATCH}


@pytest.mark.parametrize("type", types())
def test_an_example_is_valid_by_its_own_schema_and_by_no_other(type: str) -> None:
    said = json.loads(example(type, 1_796_000_000_000_000))
    assert said["type"] == type
    for other in types():
        Draft202012Validator.check_schema(schema(other))
        assert Draft202012Validator(schema(other)).is_valid(said) == (other == type)
    WHOLE.validate(said)


@settings(max_examples=50)
@given(events_of_one_record())
def test_real_bodies_are_valid_by_the_schemas(events: list[Event]) -> None:
    said = json.loads(body(events, (), is_batch=False))
    Draft202012Validator(schema(said["type"])).validate(said)
    WHOLE.validate(json.loads(body(events, (), is_batch=True)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.pop("timestamp"),
        lambda said: said.update(timestamp="yesterday"),
        lambda said: said["data"].update(sequence="12"),
        lambda said: said["data"]["podcast"].update(key=7449151565492183998),
        lambda said: said["data"].update(episode=None),
        lambda said: said["data"]["changes"][0].pop("old"),
    ],
)
def test_the_schema_refuses_what_is_never_sent(spoil: Any) -> None:
    said = json.loads(example("episode.created", 0))
    spoil(said)
    assert not WHOLE.is_valid(said)


def test_members_that_are_added_one_day_are_no_error_for_a_receiver() -> None:
    said = json.loads(example("episode.created", 0))
    said["new"] = said["data"]["new"] = said["data"]["podcast"]["new"] = 1
    Draft202012Validator(schema("episode.created")).validate(said)


def test_a_batch_holds_changes_and_nothing_else() -> None:
    with pytest.raises(ValueError):
        BatchData.model_validate({"count": 1, "events": [json.loads(example("webhook.test", 0))]})


def test_the_command_prints_the_schema_of_one_type() -> None:
    command = [sys.executable, "-m", "serving.webhooks.catalogue"]
    done = subprocess.run([*command, "episode.created"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == schema("episode.created")
    assert subprocess.run([*command, "nonsense"], capture_output=True).returncode == 2
