"""Settings of alerts that cannot be used: named, and no secret shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.settings import SettingError, Settings
from serving.alerts.channels import channels
from tests.registry.webhook_rows import SECRET
from tests.serving.alerts.installation import by_hook, by_mail


def test_nothing_set_is_no_channel_and_both_are_two(tmp_path: Path) -> None:
    assert channels(Settings(data=tmp_path)) == {}
    both = by_mail(tmp_path, 25, alert_webhook_url="https://example.com/x", alert_webhook_secret=SECRET)
    assert list(channels(both)) == ["email", "webhook"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"alert_email_to": "nobody"}, "ALERT_EMAIL_TO"),
        ({"alert_email_to": "a@example.com, b@example.com\nBcc: c@example.com"}, "ALERT_EMAIL_TO"),
        ({"alert_email_to": ","}, "ALERT_EMAIL_TO"),
        ({"alert_email_from": "Earshot <a@example.com>"}, "ALERT_EMAIL_FROM"),
        ({"alert_smtp_host": ""}, "ALERT_SMTP_HOST"),
        ({"alert_smtp_host": "https://smtp.example.com"}, "ALERT_SMTP_HOST"),
        ({"alert_smtp_host": "smtp.example.com"}, "ALERT_SMTP_SECURITY"),  # by_mail's is none
        ({"alert_smtp_password": "hunter2"}, "ALERT_SMTP_USER"),
        ({"alert_smtp_user": "a", "alert_smtp_password": "hunter2ä"}, "ALERT_SMTP_PASSWORD"),
    ],
)
def test_a_setting_of_the_e_mail_that_cannot_be_used_is_named(
    tmp_path: Path, given: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingError, match=f"EARSHOT_{named} cannot be used") as told:
        channels(by_mail(tmp_path, 25, **given))
    assert "hunter2" not in str(told.value) and "ä" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "secret", "named"),
    [
        ("http://hooks.example.com/in/s3cret", SECRET, "ALERT_WEBHOOK_URL"),
        ("https://user:s3cret@hooks.example.com/", SECRET, "ALERT_WEBHOOK_URL"),
        ("ftp://hooks.example.com/s3cret", SECRET, "ALERT_WEBHOOK_URL"),
        ("s3cret", SECRET, "ALERT_WEBHOOK_URL"),
        ("https://hooks.example.com/in", "", "ALERT_WEBHOOK_SECRET"),
        ("https://hooks.example.com/in", "s3cret", "ALERT_WEBHOOK_SECRET"),
    ],
)
def test_a_setting_of_the_webhook_that_cannot_be_used_is_named_without_what_it_says(
    tmp_path: Path, url: str, secret: str, named: str
) -> None:
    with pytest.raises(SettingError, match=f"EARSHOT_{named} cannot be used") as told:
        channels(by_hook(tmp_path, url, alert_webhook_secret=secret))
    assert "s3cret" not in str(told.value)


def test_no_secret_stands_in_what_settings_and_channels_show_of_themselves(tmp_path: Path) -> None:
    settings = by_mail(
        tmp_path,
        587,
        alert_smtp_user="earshot",
        alert_smtp_password="hunter2",
        alert_webhook_url="https://example.com/t0ken",
        alert_webhook_secret=SECRET,
    )
    shown = f"{settings!r} {[vars(way) for way in channels(settings).values()]!r}"
    assert not any(secret in shown for secret in ("hunter2", "t0ken", SECRET))
