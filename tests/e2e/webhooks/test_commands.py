"""Subscribing and all that goes with it, as typed; endpoints are real servers, some of which misbehave."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingest.feeds.urls import podcast_key
from ingest.lake import utc_now_us
from registry.database import FILE_NAME
from registry.podcasts import Registration, register
from registry.subscribing import checked_secret
from registry.subscriptions import get, listing
from registry.tables import DeliveryState, SubscriptionState
from tests.e2e.webhooks.cli import Typed, earshot, environment, listening
from tests.e2e.webhooks.endpoints import Answer, Way, endpoint, token
from tests.registry.webhook_rows import SECRET, delivery
from tests.registry.webhook_rows import endpoint as subscribed
from tests.serving.webhooks.test_docs import code, running

FEED = "https://a.example.com/feed.xml"
KEY = podcast_key(FEED)
HOUR_US = 3600 * 10**6


def test_an_endpoint_is_subscribed_tested_turned_over_and_left(data: Path) -> None:
    assert earshot(data, "register", FEED, "--label", "lead").returncode == 0
    with listening(data) as listener:
        # Word for word what `listen` says.
        said = subprocess.run(
            f"{listener.line.replace('earshot ', f'{sys.executable} -m earshot.cli ', 1)} --label lead",
            shell=True,
            env=environment(data, PATH=os.environ["PATH"]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        assert listener.secret in said.stdout and "podcasts that default labels lead" in said.stdout
        assert "`earshot deliver`" in said.stderr
        heard = listener.heard()
        assert (heard["type"], heard["status"]) == ("webhook.challenge", 200)

        tested = earshot(data, "test-event", 1, "--type", "episode.updated", "--output", "json")
        assert tested.returncode == 0, tested.stderr
        assert json.loads(tested.stdout)["status"] == 204
        heard = listener.heard()
        assert (heard["type"], heard["attempt"]) == ("episode.updated", 1)
        assert heard["podcast_key"] and heard["sequence"]
        assert json.loads(earshot(data, "deliveries", "--output", "json").stdout)["deliveries"] == []

        rotated = earshot(data, "rotate-secret", 1, "--output", "json")
        (row,) = json.loads(rotated.stdout)
        assert row["secret"] != listener.secret and row["previous_signs_until"]
        assert earshot(data, "test-event", 1).returncode == 0  # the one before signs, too
        assert listener.heard()["type"] == "webhook.test"

    gone = earshot(data, "test-event", 1)
    assert gone.returncode == 1 and "connect" in gone.stdout
    (row,) = json.loads(earshot(data, "subscriptions", "--output", "json").stdout)
    assert (row["id"], row["labels"], row["state"]) == (1, ["lead"], "active")
    assert "secret" not in row
    assert earshot(data, "unsubscribe", 1).returncode == 0
    assert json.loads(earshot(data, "subscriptions", "--output", "json").stdout) == []
    (row,) = json.loads(earshot(data, "subscriptions", "--all", "--output", "json").stdout)
    assert row["state"] == "ended"
    left = earshot(data, "test-event", 1)
    assert left.returncode == 1 and "has ended" in left.stderr


WRONG: dict[str, Way] = {
    "empty": lambda body: (200, b""),
    "echo": lambda body: (200, body),
    "other": lambda body: (200, b'{"challenge": "something else"}'),
    "failing": lambda body: (500, token(body).encode()),
    "redirect": lambda body: (302, token(body).encode()),
    "late": lambda body: (200, b" " * 2000 + token(body).encode()),
}


@pytest.mark.parametrize("way", WRONG)
def test_an_endpoint_that_answers_the_challenge_wrongly_is_not_stored(
    typed: Typed, engine: Engine, way: str
) -> None:
    with endpoint(WRONG[way]) as (url, got):
        said = typed("subscribe", url)
    assert said.code == 1 and len(got) == 1
    assert "url: " in said.err and "nothing was stored" in said.err and "docs/webhooks.md" in said.err
    assert listing(engine, with_ended=True) == []


def test_a_server_nobody_is_at_is_not_stored(typed: Typed, engine: Engine) -> None:
    said = typed("subscribe", "http://127.0.0.1:1/")
    assert said.code == 1 and "url: " in said.err and listing(engine) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1:8000/",
    ],
)
def test_private_addresses_are_refused_in_every_spelling(
    typed: Typed, engine: Engine, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.delenv("EARSHOT_WEBHOOK_TEST_HOSTS")
    said = typed("subscribe", url)
    assert said.code == 2 and "Invalid value for URL" in said.err and listing(engine) == []
    assert ("written as a number, not a public name" in said.err) == ("2130706433" in url or "0x7f" in url)


def test_a_name_of_a_private_address_is_refused_by_the_real_command(data: Path) -> None:
    said = earshot(data, "subscribe", "http://localhost:9/hook", NOTHING="")
    assert said.returncode == 1
    assert "url: " in said.stderr and "EARSHOT_WEBHOOK_TEST_HOSTS" in said.stderr
    assert json.loads(earshot(data, "subscriptions", "--output", "json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "option", "said"),
    [
        (["ftp://example.com/"], "URL", "http"),
        (["https://user:secret@example.com/"], "URL", "credentials"),
        (["https://example.com/#part"], "URL", "fragment"),
        (["nonsense"], "URL", "absolute"),
        (["--schedule", "61 * * * *"], "--schedule", "61 * * * *"),
        (["--schedule", "every morning"], "--schedule", "five fields"),
        (["--schedule", "0 0 30 2 *"], "--schedule", "0 0 30 2 *"),
        (["--schedule", "0 7 * * *", "--time-zone", "Mars/Olympus"], "--time-zone", "Mars/Olympus"),
        (["--schedule", "0 7 * * *", "--batch-size", "0"], "--batch-size", "0"),
        (["--batch-size", "5"], "--batch-size", "scheduled"),
        (["--time-zone", "Europe/Berlin"], "--time-zone", "scheduled"),
        (["--type", "episode.deleted"], "--type", "episode.created"),
        (["--type", "podcast.added"], "--type", "podcast.added"),
        (["--field", "titel"], "--field", "titel"),
        (["--podcast", "https://nowhere.example.com/"], "--podcast", "no such podcast"),
        (["--podcast", FEED, "--label", "lead"], "--label", "not both"),
        (["--label", "two words"], "--label", "two words"),
        (["--tenant", "a/b"], "--tenant", "a/b"),
        (["--coalesce", "-1"], "--coalesce", "-1"),
        (["--coalesce", "nan"], "--coalesce", "nan"),
        (["--rate", "0"], "--rate", "0"),
        (["--secret", "whsec_c2hvcnQ="], "--secret", "24 to 64 bytes"),
        (["--secret", "whsec_!!!"], "--secret", "base64"),
        (["--secret", "whsec_abc"], "--secret", "too short"),
    ],
)
def test_a_wish_that_cannot_be_met_names_its_option(
    typed: Typed, engine: Engine, arguments: list[str], option: str, said: str
) -> None:
    register(engine, [Registration(FEED)], 0)
    url = [] if option == "URL" else ["https://example.com/hook"]
    found = typed("subscribe", *url, *arguments)
    assert found.code == 2, found.err
    assert f"Invalid value for {option}: " in found.err and said in " ".join(found.err.split())
    assert "c2hvcnQ" not in found.err and "secret@" not in found.err
    assert listing(engine) == []


def test_all_that_is_wished_is_stored(typed: Typed, engine: Engine) -> None:
    register(engine, [Registration(FEED, tenant="acme")], 0)
    with endpoint(lambda body: (200, token(body).encode())) as (url, _):
        said = typed(
            "subscribe", url, "--tenant", "acme", "--type", "episode.updated", "--type", "episode.created",
            "--podcast", FEED, "--field", "title", "--schedule", "0 7 * * *", "--time-zone", "Europe/Berlin",
            "--batch-size", 20, "--ordered", "--rate", 2.5, "--secret", SECRET, "--output", "json",
        )  # fmt: skip
    assert said.code == 0, said.err
    (row,) = said.rows
    assert row["secret"] == SECRET and row["podcasts"] == [str(KEY)]
    stored = get(engine, row["id"])
    assert (stored.url, stored.tenant, stored.mode, stored.cron) == (url, "acme", "scheduled", "0 7 * * *")
    assert (stored.time_zone, stored.batch_size, stored.is_ordered, stored.rate_per_s) == (
        "Europe/Berlin", 20, True, 2.5,
    )  # fmt: skip
    assert set(stored.types) == {"episode.updated", "episode.created"} and stored.fields == ("title",)
    assert stored.podcasts.keys == (KEY,)


def test_a_tenant_without_podcasts_is_told_so(typed: Typed) -> None:
    with endpoint(lambda body: (200, json.dumps({"challenge": token(body)}).encode())) as (url, _):
        said = typed("subscribe", url, "--tenant", "acme")
    assert said.code == 0 and "acme tracks no podcast yet" in said.err


def test_an_endpoint_that_verifies_gets_its_secret_before_it_is_subscribed(
    typed: Typed, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The steps of docs/webhooks.md, with its receiver."""
    secret = typed("new-secret").out.strip()
    assert checked_secret(secret) == secret and secret != typed("new-secret").out.strip()
    receiver = tmp_path / "receiver.py"
    receiver.write_text(code("receiver.py"))
    with running([sys.executable, str(receiver)], secret, tmp_path / "printed") as url:
        said = typed("subscribe", url)
        assert said.code == 1 and "401" in said.err and "earshot new-secret" in said.err
        assert "EARSHOT_WEBHOOK_SECRET" in said.err and listing(engine) == []
        monkeypatch.setenv("EARSHOT_WEBHOOK_SECRET", secret)
        said = typed("subscribe", url)
        assert said.code == 0, said.err
        assert get(engine, 1).secret == secret
        tested = typed("test-event", 1, "--type", "episode.created")
        assert tested.code == 0 and re.search(r"webhook-id +test_[0-9a-f]{32}", tested.out)
    assert "episode.created 12" in (tmp_path / "printed").read_text()


def test_who_subscribes_twice_is_told_that_events_come_twice(typed: Typed, engine: Engine) -> None:
    register(engine, [Registration(FEED, labels=("lead",))], 0)
    with endpoint(lambda body: (200, token(body).encode())) as (url, _):
        assert "asks for the same" not in typed("subscribe", url).err
        assert "asks for the same" not in typed("subscribe", url, "--label", "lead").err
        assert "asks for the same" not in typed("subscribe", url, "--schedule", "0 7 * * *").err
        said = typed("subscribe", url)
        assert "subscription 1 asks for the same: each event will come twice" in said.err
        assert (
            "subscriptions 1, 4 ask for the same: each event will come 3 times" in typed("subscribe", url).err
        )
    assert len(listing(engine)) == 5


def test_a_label_that_no_podcast_carries_is_noted(typed: Typed, engine: Engine) -> None:
    register(engine, [Registration(FEED, labels=("lead",)), Registration(f"{FEED}?2", tenant="acme")], 0)
    with endpoint(lambda body: (200, token(body).encode())) as (url, _):
        said = typed("subscribe", url, "--label", "lead", "--label", "laed")
        assert "no podcast that default tracks is labelled laed" in said.err
        assert "labelled lead:" not in said.err
        assert "labelled lead" in typed("subscribe", url, "--label", "lead", "--tenant", "acme").err


def test_a_secret_being_turned_over_is_shown(typed: Typed, engine: Engine) -> None:
    at, other = subscribed(engine), subscribed(engine)
    typed("rotate-secret", at)
    assert typed("subscriptions").out.replace("\n", " ").count("signs until") == 1
    first, second = typed("subscriptions", "--output", "json").rows
    assert first["previous_signs_until"] and second["previous_signs_until"] is None and other == second["id"]


def test_a_name_that_does_not_resolve_is_told_in_plain_words(typed: Typed, engine: Engine) -> None:
    said = typed("test-event", subscribed(engine, url="https://subscriber.invalid/hook"))
    assert said.code == 1 and "the name subscriber.invalid " in said.out and "Errno" not in said.out
    said = typed("test-event", subscribed(engine, url="http://127.0.0.2:1/hook"))
    assert "private_address" in said.out and "EARSHOT_WEBHOOK_TEST_HOSTS" in said.err


def test_without_a_registry_there_is_nothing_to_show(typed: Typed) -> None:
    assert typed("subscriptions").code == 1
    assert typed("deliveries").code == 1


@pytest.mark.parametrize("command", ["unsubscribe", "rotate-secret", "resume", "test-event", "deliveries"])
def test_an_unknown_subscription_is_told(typed: Typed, engine: Engine, command: str) -> None:
    said = typed(command, 9)
    assert said.code == 1 and "no subscription 9" in said.err


def test_a_wrong_type_of_a_test_event_or_secret_names_the_option(typed: Typed, engine: Engine) -> None:
    at = subscribed(engine)
    said = typed("test-event", at, "--type", "episode.eaten")
    assert said.code == 2 and "--type" in said.err and "episode.created" in said.err
    said = typed("rotate-secret", at, "--secret", "whsec_c2hvcnQ=")
    assert said.code == 2 and "--secret" in said.err and "c2hvcnQ" not in said.err
    assert get(engine, at).secret == SECRET
    assert typed("listen", "--secret", "short").code == 2
    assert typed("listen", "--times", 2).code == 2


def test_a_disabled_endpoint_is_resumed_when_it_answers_and_its_dead_letters_are_told(
    typed: Typed, engine: Engine
) -> None:
    now_us = utc_now_us()
    given = {
        "state": SubscriptionState.DISABLED,
        "reason": "it answered 410 Gone",
        "state_us": now_us - HOUR_US,
    }

    def answer(body: bytes) -> Answer:
        return (200, token(body).encode()) if is_well else (410, b"")

    is_well = False
    with endpoint(answer) as (url, _):
        at = subscribed(engine, url=url, failing_since_us=now_us - 2 * HOUR_US, **given)
        for number, ended_us in enumerate((now_us - 3 * HOUR_US, now_us - HOUR_US, now_us)):
            delivery(engine, at, f"evt_{number}", state=DeliveryState.DEAD, ended_us=ended_us)
        said = typed("resume", at)
        assert said.code == 1 and "it stays disabled" in said.err
        assert get(engine, at).state is SubscriptionState.DISABLED
        is_well = True
        said = typed("resume", at)
    assert said.code == 0, said.err
    assert get(engine, at).state is SubscriptionState.ACTIVE
    found = re.search(
        r"2 dead letters wait since it failed: `earshot (replay \S+ --failed-since \S+)`", said.err
    )
    assert found, said.err
    assert typed(*found[1].split(), "--output", "json").rows[0]["queued"] == 2
    assert "is active: nothing to do" in typed("resume", at).err


def test_a_registry_is_only_made_by_who_subscribes(typed: Typed, data: Path) -> None:
    typed("subscriptions")
    assert not (data / FILE_NAME).exists()
