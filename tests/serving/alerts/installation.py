"""Looks that find what a test says, and settings of channels."""

from __future__ import annotations

from pathlib import Path

from ingest.settings import Settings
from serving.alerts.alert import Alert, Kind, Severity
from serving.alerts.looks import Look
from tests.registry.webhook_rows import SECRET

S, MIN, HOUR = 1_000_000, 60_000_000, 3_600_000_000
NOW = 1_796_000_000 * S  # 2026-11-29


def alert(
    subject: str = "one", severity: Severity = Severity.WARNING, amount: int = 1, kind: Kind = Kind.LOW_DISK
) -> Alert:
    return Alert(kind, subject, severity, f"{subject} is wrong.", f"Mend {subject}.", amount)


def finding(*alerts: Alert) -> dict[str, Look]:
    """One look, made each time, that finds these."""
    return {"one": Look(0, lambda settings, now_us: list(alerts))}


def by_mail(data: Path, port: int, **given: object) -> Settings:
    values = {
        "data": data,
        "alert_email_to": "team@example.com",
        "alert_email_from": "earshot@example.com",
        "alert_smtp_host": "127.0.0.1",
        "alert_smtp_port": port,
        "alert_smtp_security": "none",
    }
    return Settings.model_validate(values | given)


def by_hook(data: Path, url: str, **given: object) -> Settings:
    values = {"data": data, "alert_webhook_url": url, "alert_webhook_secret": SECRET}
    return Settings.model_validate(values | given)
