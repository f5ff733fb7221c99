"""The whole answer of `earshot explain` as JSON."""

from __future__ import annotations

from typing import Any

from earshot.explain.answer import Explanation
from earshot.explain.story import Seen, Told, windows_under
from earshot.explain.words import at, verdict, why
from ingest.settings import Window

Row = dict[str, Any]


def as_json(explanation: Explanation, window: Window | None = None) -> Row:
    """The whole answer. Keys are texts: JavaScript's and jq's numbers end at 53 bits."""
    rules = [window] if window else list(Window)
    episode = explanation.episode
    return {
        "episode": {
            "show_id": episode.show_id,
            "show_title": episode.show_title,
            "episode_id": episode.episode_id,
            "episode_title": episode.episode_title,
            "is_in_catalog": episode.show_id is not None,
        },
        "day": explanation.day.isoformat(),
        "time_zone": explanation.time_zone,
        "published_window": explanation.published,
        "thresholds": explanation.thresholds,
        "figures": [
            {
                "source_class": found.source_class,
                "downloads": {rule: found.downloads[rule] for rule in rules},
                "published": {
                    name: getattr(found, name) for name in ("listeners", "requests", "served_bytes")
                },
                "not_counted": [
                    {
                        "source": row["source"],
                        **why(row["reason"], row["rules_version"], explanation),
                        "requests": {rule: row[f"requests_{rule}"] for rule in rules},
                    }
                    for row in found.not_counted
                ],
            }
            for found in explanation.figures
        ],
        "listeners": [
            {
                "source_class": one.source_class,
                "listener": str(one.listener_key),
                "app": one.app,
                "lines": one.lines,
                "windows": {rule: one.windows[rule] for rule in rules},
                "downloads": {rule: one.downloads[rule] for rule in rules},
                "not_counted": {rule: one.not_counted[rule] for rule in rules},
            }
            for one in explanation.listeners
        ],
        "stories": [
            {
                "source_class": story.source_class,
                "listener": str(story.listener_key),
                "logged_under": [str(key) for key in story.logged_keys],
                "agents": story.agents,
                "windows": [_window_json(seen, explanation) for seen in windows_under(story, window)],
                "excluded": [
                    _told_json(told, explanation)
                    | why(str(told.exclusion_reason), told.rules_version, explanation)
                    for told in story.excluded
                ],
                "excluded_requests": story.excluded_requests,
            }
            for story in explanation.stories
        ],
    }


def _window_json(seen: Seen, explanation: Explanation) -> Row:
    return {
        "rules": seen.rules,
        "date": seen.date.isoformat(),
        "first_request_at": at(seen.first_request_us, explanation).isoformat(),
        "last_request_at": at(seen.last_request_us, explanation).isoformat(),
        "is_counted": seen.is_counted,
        "verdict": verdict(seen),
        "requests": seen.requests,
        "served_bytes": seen.served_bytes,
        "content_bytes": seen.content_bytes,
        "threshold_bytes": seen.threshold_bytes,
        "threshold_source": seen.threshold_source,
        "told": [
            _told_json(told, explanation)
            | {name: getattr(told, name) for name in ("request_number", "contributed_bytes", "running_bytes")}
            for told in seen.told
        ],
    }


def _told_json(told: Told, explanation: Explanation) -> Row:
    return {
        "started_at": at(told.started_us, explanation).isoformat(),
        "method": told.method,
        "status": told.status,
        "range_start": told.range_start,
        "served_bytes": told.served_bytes,
        "lines": told.lines,
    }
