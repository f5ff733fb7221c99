"""`earshot listen`, the endpoint of those who develop one."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.webhooks.cli import listening
from tests.registry.webhook_rows import SECRET


def test_listen_refuses_what_is_not_signed_and_says_why(data: Path) -> None:
    with listening(data, "--secret", SECRET) as listener:
        assert listener.secret == SECRET
        body = b'{"type": "episode.created", "data": {"sequence": 3, "podcast": {"key": "-7"}}}'
        assert listener.post(body)[0] == 204
        heard = listener.heard()
        assert (heard["podcast_key"], heard["sequence"], heard["webhook_id"]) == ("-7", 3, "evt_1")
        assert not heard["is_duplicate"]
        assert listener.post(body)[0] == 204
        assert listener.heard()["is_duplicate"]
        wrong = "whsec_" + "A" * 32
        status, said = listener.post(body, secret=wrong)
        assert status == 401 and b"No matching signature" in said
        assert "No matching signature" in listener.heard()["why"]
        for bad in (
            {"webhook-signature": ""},
            {"webhook-signature": "v1"},
            {"webhook-signature": "v1,ü"},
            {"webhook-timestamp": "1"},
        ):
            assert listener.post(body, **bad)[0] == 401
            assert listener.heard()["status"] == 401
        assert listener.post(body, sent=b"\xff\xfe")[0] == 401
        assert listener.post(b"[1]")[0] == 401
        assert listener.post(b"[" * 90_000)[0] == 401
        assert listener.post(b" " * 200_000)[0] == 413
        assert [listener.heard()["status"] for _ in range(4)] == [401, 401, 401, 413]
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(listener.url)


def test_listen_fails_on_purpose_but_takes_the_challenge(data: Path) -> None:
    with listening(data, "--fail", 503, "--times", 2) as listener:
        challenge = b'{"type": "webhook.challenge", "data": {"challenge": "abc"}}'
        assert listener.post(challenge) == (200, b'{"challenge":"abc"}')
        event = b'{"type": "episode.created", "data": {}}'
        assert [listener.post(event)[0] for _ in range(4)] == [503, 503, 204, 204]
        listener.heard()
        told = [listener.heard() for _ in range(4)]
        assert [each["is_duplicate"] for each in told] == [False, False, False, True]
