"""`earshot key` and `earshot access`, as typed."""

from __future__ import annotations

from ingest.settings import Settings
from tests.registry.command_line import Earshot
from tests.serving.api.published import a_show, publish_rows


def test_a_key_is_shown_once_and_can_be_revoked(earshot: Earshot) -> None:
    made = earshot("key", "new", "--tenant", "ann", "--scope", "read", "--scope", "manage", "--name", "BI")
    assert made.code == 0 and made.out.startswith("es_") and "manage, read" in made.err
    listed = earshot("key", "list", "--output", "json")
    assert made.out.strip() not in listed.out
    assert [(row["id"], row["tenant"], row["scopes"], row["state"]) for row in listed.rows] == [
        (1, "ann", "manage,read", "valid")
    ]
    assert earshot("key", "revoke", 1).code == 0
    assert earshot("key", "list", "--output", "json").rows[0]["state"] == "revoked"


def test_a_key_command_says_what_cannot_be(earshot: Earshot) -> None:
    assert "read, manage, hints, operate" in earshot("key", "new", "--scope", "all").err
    assert "expired already" in earshot("key", "new", "--expires", "2020-01-01").err
    assert "--tenant" in earshot("key", "new", "--tenant", "a b").err
    assert "no key 7" in earshot("key", "revoke", 7).err
    assert earshot("key", "list", "--output", "json").rows == []


def test_shows_are_granted_opened_and_taken_back(earshot: Earshot) -> None:
    assert "2 to ann" in earshot("access", "grant", "ann", "s1", "s2").err
    assert "0 to ann; 1 was the tenant's already" in earshot("access", "grant", "ann", "s1").err
    assert "1 pacing" in earshot("access", "open", "s1", "--subject", "pacing").err
    rows = earshot("access", "list", "--output", "json").rows
    assert [(row["show"], row["owner"], row["open"]) for row in rows] == [
        ("s1", "ann", None),
        ("s1", None, "pacing"),
        ("s2", "ann", None),
    ]
    assert earshot("access", "close", "s1").code == 0
    assert earshot("access", "withdraw", "ann", "s1", "s2").code == 0
    assert earshot("access", "list", "--output", "json").rows == []
    assert "a subject is one of downloads" in earshot("access", "open", "s1", "--subject", "each").err


def test_nothing_is_opened_that_was_not_asked_for(earshot: Earshot) -> None:
    refused = earshot("access", "open", "s1")
    assert refused.code == 2 and "say what: downloads" in refused.err
    assert earshot("access", "list", "--output", "json").rows == []
    assert earshot("access", "open", "s1", "--subject", "all").code == 0
    assert len(earshot("access", "list", "--output", "json").rows) == 4


def test_a_show_that_the_marts_do_not_know_is_told_and_granted(earshot: Earshot) -> None:
    publish_rows(Settings.from_env().published_dir, {"dim_shows": [a_show("s1")]})
    assert "warning" not in earshot("access", "grant", "ann", "s1", "*").err
    for command in (["grant", "ann", "s1", "s9"], ["open", "s1", "s9", "--subject", "all"]):
        done = earshot("access", *command)
        assert done.code == 0 and done.err.count("warning") == 1 and "no show s9" in done.err
    assert len(earshot("access", "list", "--output", "json").rows) == 3 + 8
