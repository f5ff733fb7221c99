"""Keys of the API and access to shows, as they are stored; on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import Engine, text

from registry import access_revisions, audit_log, show_access
from registry.api_keys import BadKey, Scope, create, keys, note_use, read_keys, revoke
from registry.show_access import BadShowId, Opening, Owner, Subject

DAY_US = 86_400_000_000
NOW_US = 1_800_000_000_000_000


def revision(engine: Engine) -> int:
    with engine.connect() as connection:
        return access_revisions.current(connection)


def test_of_a_key_only_a_hash_is_stored(engine: Engine) -> None:
    key, made = create(engine, NOW_US, "ann", [Scope.READ], "BI")
    assert key.startswith("es_") and len(key) > 40
    assert made.digest == hashlib.sha256(key.encode()).hexdigest()
    with engine.connect() as connection:
        for table in ("api_keys", "audit_log"):
            stored = str(connection.execute(text(f"select * from {table}")).fetchall())
            assert key not in stored and key[3:] not in stored
    assert create(engine, NOW_US, "ann", [Scope.READ])[0] != key


def test_a_key_ends_at_its_time_or_when_it_is_revoked(engine: Engine) -> None:
    _, short = create(engine, NOW_US, "ann", [Scope.READ], expires_us=NOW_US + DAY_US)
    assert short.is_valid(NOW_US + DAY_US - 1) and not short.is_valid(NOW_US + DAY_US)
    _, made = create(engine, NOW_US, "ann", [Scope.READ, Scope.MANAGE])
    assert made.is_valid(NOW_US * 10)
    revoked = revoke(engine, NOW_US + 1, made.key_id)
    assert not revoked.is_valid(NOW_US) and revoked.revoked_us == NOW_US + 1
    assert revoke(engine, NOW_US + 2, made.key_id).revoked_us == NOW_US + 1
    with engine.connect() as connection:
        assert [key.key_id for key in read_keys(connection)] == [short.key_id]
    assert [key.key_id for key in keys(engine, "ann")] == [short.key_id, made.key_id]


def test_a_key_that_makes_no_sense_is_refused(engine: Engine) -> None:
    with pytest.raises(BadKey, match="needs a scope"):
        create(engine, NOW_US, "ann", [])
    with pytest.raises(BadKey, match="printable"):
        create(engine, NOW_US, "ann", [Scope.READ], "a\nb")
    with pytest.raises(BadKey, match="expired already"):
        create(engine, NOW_US, "ann", [Scope.READ], expires_us=NOW_US)
    with pytest.raises(BadKey, match="no key 99"):
        revoke(engine, NOW_US, 99)
    assert keys(engine) == [] and revision(engine) == 0


def test_the_day_of_the_last_use_is_kept_and_never_goes_back(engine: Engine) -> None:
    _, made = create(engine, NOW_US, "ann", [Scope.READ])
    before = revision(engine)
    note_use(engine, made.key_id, NOW_US + 5)
    note_use(engine, made.key_id, NOW_US - 3 * DAY_US)
    assert keys(engine)[0].used_us == NOW_US // DAY_US * DAY_US
    assert revision(engine) == before  # no reason for anybody to read the keys again


def test_every_change_of_access_is_seen_by_who_keeps_a_copy(engine: Engine) -> None:
    assert revision(engine) == 0
    show_access.grant(engine, NOW_US, "ann", ["s1", "s2"])
    assert revision(engine) == 1
    show_access.grant(engine, NOW_US, "ann", ["s1"])
    assert revision(engine) == 1  # nothing changed
    show_access.open_to_all(engine, NOW_US, ["s1"], [Subject.PACING])
    show_access.close(engine, NOW_US, ["s1"], [Subject.PACING])
    show_access.withdraw(engine, NOW_US, "ann", ["s2"])
    create(engine, NOW_US, "ann", [Scope.READ])
    assert revision(engine) == 5


def test_shows_are_granted_and_opened_until_that_is_taken_back(engine: Engine) -> None:
    assert show_access.grant(engine, NOW_US, "ann", ["s1", "s2", "*"]) == 3
    assert show_access.withdraw(engine, NOW_US, "ann", ["s2", "s9"]) == 1
    assert show_access.open_to_all(engine, NOW_US, ["s1"], list(Subject)) == 4
    assert show_access.close(engine, NOW_US, ["s1"], [Subject.AUDIENCE]) == 1
    with engine.connect() as connection:
        assert sorted(show_access.owners(connection), key=str) == [
            Owner("*", "ann", NOW_US),
            Owner("s1", "ann", NOW_US),
        ]
        assert Opening("s1", Subject.AUDIENCE, NOW_US) not in show_access.openings(connection)
        assert len(show_access.openings(connection)) == 3
    for bad in ("", "x" * 201, "a\x00b"):
        with pytest.raises(BadShowId):
            show_access.grant(engine, NOW_US, "ann", [bad])


def test_the_audit_log_says_who_changed_what(engine: Engine) -> None:
    create(engine, NOW_US, "ann", [Scope.READ], "BI")
    show_access.grant(engine, NOW_US + 1, "bob", ["s1"])
    show_access.open_to_all(engine, NOW_US + 2, ["s1"], [Subject.PACING])
    told = audit_log.entries(engine, None, None, 10)
    assert [(entry.action, entry.tenant, entry.subject) for entry in told] == [
        ("access.opened", "", "s1"),
        ("access.granted", "bob", "s1"),
        ("key.created", "ann", "1"),
    ]
    assert told[0].detail == {"subject": "pacing"}
    assert [entry.action for entry in audit_log.entries(engine, "bob", None, 10)] == ["access.granted"]
    assert [entry.audit_id for entry in audit_log.entries(engine, None, told[0].audit_id, 1)] == [2]
