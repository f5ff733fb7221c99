"""The groups of Dagster's asset graph: one list of subjects, each with what it answers."""

from __future__ import annotations

from enum import StrEnum


class Subject(StrEnum):
    """What an asset is about. A person looks for figures by subject, not by the step that makes them: so what
    cleans requests and what counts them stand where their figures do. dbt's models name theirs by their
    folder (marts) or in `meta.dagster.group` (dbt_project.yml).
    """

    LOGS = "logs"
    REFERENCE = "reference"
    FEEDS = "feeds"
    CATALOG = "catalog"
    DOWNLOADS = "downloads"
    AUDIENCE = "audience"
    PACING = "pacing"
    ATTRIBUTION = "attribution"
    QUALITY = "quality"
    PUBLISHED = "published"
    WEBHOOKS = "webhooks"


ANSWERS: dict[Subject, str] = {
    Subject.LOGS: "What did servers and prefix log, what of it could be read, how long is it kept?",
    Subject.REFERENCE: "By which lists of agents, networks and addresses is a request judged?",
    Subject.FEEDS: "What do the tracked podcasts' feeds say, since when, and who tells us of news?",
    Subject.CATALOG: "Which shows and episodes are there, what changed in them, which enclosure is whose?",
    Subject.DOWNLOADS: "How many downloads, of which episode, and why does a request not count?",
    Subject.AUDIENCE: "How many listeners, with which app, device, country?",
    Subject.PACING: "How does an episode do beside its show's others of that age?",
    Subject.ATTRIBUTION: "What did a collaboration bring that would not have come anyway?",
    Subject.QUALITY: "Do sources agree, what was restated, which volumes are improbable, under which rules?",
    Subject.PUBLISHED: "What do readers get: files, PostgreSQL, search, BI?",
    Subject.WEBHOOKS: "Who is told of changes, and does it arrive?",
}
