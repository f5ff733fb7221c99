"""Rate limits: by key, by address, by network; what a hub may."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ingest.settings import SettingError
from serving.api.app import create_app
from serving.api.settings import ApiSettings
from tests.serving.api.conftest import keys_of, of, settings_of


def statuses(client: TestClient, times: int, path: str = "/v1/shows", **headers: str) -> list[int]:
    return [client.get(path, headers=headers).status_code for _ in range(times)]


def test_each_key_has_its_own_allowance_and_addresses_share_theirs(data: Path) -> None:
    app = create_app(settings_of(data, rate="3/hour", public_rate="2/hour"))
    with TestClient(app) as client:
        keys = keys_of(app.state.core)
        assert statuses(client, 4, **of(keys["ann"])) == [200, 200, 200, 429]
        assert statuses(client, 1, **of(keys["bob"])) == [200]
        assert statuses(client, 3) == [200, 200, 429]
        refused = client.get("/v1/shows", headers=of(keys["ann"]))
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        assert refused.json()["title"] == "Too many requests"


def test_who_guesses_keys_is_slowed_down(data: Path) -> None:
    with TestClient(create_app(settings_of(data, public_rate="2/hour"))) as client:
        assert statuses(client, 4, authorization="Bearer es_" + "A" * 43) == [401, 401, 429, 429]


def test_behind_proxies_the_client_is_counted_not_the_proxy(data: Path) -> None:
    with TestClient(create_app(settings_of(data, public_rate="1/hour", trusted_proxies=1))) as client:
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8:1:2::1", "2001:db8:1:3::1"):
            assert statuses(client, 1, **{"x-forwarded-for": f"198.51.100.9, {address}"}) == [200]
        for again in ("192.0.2.1", "2001:db8:1:2::ffff"):  # the same /64
            assert statuses(client, 1, **{"x-forwarded-for": again}) == [429]


def test_without_proxies_nobody_can_say_who_they_are(data: Path) -> None:
    with TestClient(create_app(settings_of(data, public_rate="1/hour"))) as client:
        assert statuses(client, 1, **{"x-forwarded-for": "192.0.2.1"}) == [200]
        assert statuses(client, 1, **{"x-forwarded-for": "192.0.2.2"}) == [429]


def test_hubs_have_an_allowance_of_their_own(data: Path) -> None:
    with TestClient(create_app(settings_of(data, public_rate="1/hour", hub_rate="2/hour"))) as client:
        assert statuses(client, 2) == [200, 429]
        assert statuses(client, 3, "/v1/hints/websub/x") == [404, 404, 429]


def test_a_setting_that_cannot_be_used_is_named() -> None:
    for name, value in {"RATE": "fast", "THREADS": "0", "TRUSTED_PROXIES": "-1", "POLL_S": "0"}.items():
        with pytest.raises(SettingError, match=f"EARSHOT_API_{name} = '{value}'"):
            ApiSettings.from_env({f"EARSHOT_API_{name}": value})
    assert ApiSettings.from_env({"EARSHOT_API_RATE": "0", "EARSHOT_DATA": "/d"}).rate == "0"
    assert "s3cret" not in repr(ApiSettings.from_env({"EARSHOT_API_SECRET": "s3cret"}))
