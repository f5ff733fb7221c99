"""The methodology statement (R34): what the guideline asks to be disclosed, from what is in force."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from typing import Any

import jinja2
from markdown_it import MarkdownIt

from ingest.logs.formats import FORMATS
from ingest.logs.rules import Rules
from ingest.reference.lists import LISTS
from ingest.settings import Settings
from ingest.sources import AUTO, Source, Sources
from serving.reasons import OF_REQUESTS, REASONS
from serving.reports.asking import Asks, Basis
from serving.rule_numbers import RULES

Row = dict[str, Any]
_OTHER_LISTS = {  # what judges beside the reference lists
    "prefix_hosts": "hosts of our own prefix redirect",
    "operating_systems": "operating systems, as agents tell them",
    "country_db": "address database: countries",
    "network_db": "address database: networks",
    "network_kinds": "what well-known networks are for",
}
_NONE = "none published yet"
_UNTOLD: Row = {
    "estimates_intro": "Answers tell their share as `estimated_downloads`.",
    "estimates": [],
    "judged_under": [],
    "restatements": [],
}
_EVIDENCE = ("episode", "log", "show", "default")


def statement(settings: Settings, marts: tuple[Asks, Basis] | None, for_anybody: bool = False) -> str:
    """The statement of this installation as Markdown. Raises SettingError, ReferenceListError.

    marts: the published ones; None: there are none yet. for_anybody: without what tells of the platform's
    tenants: its sources, and figures over all shows.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["cell"] = _cell
    template = environment.from_string(_beside_us("methodology.md.j2"))
    if for_anybody:
        told = _UNTOLD | {
            "marts_line": f"version {marts[1].version} of {marts[1].made_at}" if marts else _NONE
        }
    else:
        told = _of_marts(settings, marts)
    return template.render(**_in_force(settings), for_anybody=for_anybody, **told)


def as_page(markdown: str) -> str:
    """A statement as one HTML page that needs nothing else."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # Where the page is narrow a table is moved sideways, not the page.
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(markdown)
    sections = []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", anchor := _anchor(inline.content))
            if heading.tag == "h2":
                sections.append({"anchor": anchor, "title": inline.content})
    top, first, rest = parser.renderer.render(tokens, parser.options, {}).partition("<h2")
    page = jinja2.Environment(autoescape=True).from_string(_beside_us("methodology.html.j2"))
    return page.render(
        title=markdown.partition("\n")[0].lstrip("# "), top=top, sections=sections, body=first + rest
    )


def _anchor(title: str) -> str:
    """As GitHub makes them, so that links in the Markdown lead somewhere here, too."""
    return "".join(sign for sign in title.lower().replace(" ", "-") if sign.isalnum() or sign == "-")


def _beside_us(name: str) -> str:
    return resources.files("serving.methodology").joinpath(name).read_text("utf-8")


def _in_force(settings: Settings) -> Row:
    """What settings, lists and sources say."""
    rules = Rules.load(settings)
    lists = [
        {
            **row,
            "what": LISTS[row["list"]].what if row["list"] in LISTS else _OTHER_LISTS.get(row["list"], ""),
            "entries": f"{row['entries']:,}",
            "origin": row["origin"] or "",
            "fetched": _date(row["fetched_us"]),
        }
        for row in rules.described().iter_rows(named=True)
    ]
    databases = {"EARSHOT_COUNTRY_DB": settings.country_db, "EARSHOT_NETWORK_DB": settings.network_db}
    return {
        "settings": settings,
        "contact": _cell(settings.publisher_contact or "not stated (`EARSHOT_PUBLISHER_CONTACT`)"),
        "window": settings.window.value,
        "time_zone": settings.time_zone,
        "reasons": list(REASONS.items()),
        "rule_numbers": RULES,
        "by_request": len(OF_REQUESTS) + 1,  # and before_publication
        "rules_version": rules.version,
        "lists": lists,
        "databases": [f"`{path.name}` ({name})" for name, path in databases.items() if path],
        "sources": [_source(source) for source in Sources.load(settings).declared.values()],
        "reconciliation": _share(settings.reconciliation_tolerance),
    }


def _source(source: Source) -> Row:
    log_format = None if source.format == AUTO else FORMATS[source.format]
    is_comparable = source.is_comparable(log_format)
    return {
        "name": source.name,
        "source_class": source.source_class
        or (log_format.SOURCE_CLASS if log_format else "told by its files"),
        "format": "told by its files" if log_format is None else log_format.NAME,
        "addresses": "whole" if is_comparable else "cut short: not comparable",
        "proxies": source.trusted_proxies,
        "zone": source.time_zone,
    }


def _of_marts(settings: Settings, marts: tuple[Asks, Basis] | None) -> Row:
    """What the published marts say of themselves."""
    if marts is None:
        return {
            "marts_line": _NONE,
            "estimates_intro": "Their share of the published downloads is stated here once there are marts.",
            "estimates": [],
            "judged_under": [],
            "restatements": [],
        }
    asks, basis = marts
    [span] = asks.rows("select min(date) as first, max(date) as last from fct_downloads", {})
    can_be_restated = asks.rows("from duckdb_tables() where table_name = 'fct_restatements'", {})
    restatements = asks.rows(_RESTATEMENTS, {}) if can_be_restated else []
    return {
        "marts_line": _marts_line(basis, span, settings),
        "estimates_intro": f"Of the downloads published as version {basis.version}:",
        "estimates": [_estimates(row) for row in asks.rows(_ESTIMATES, {})],
        "judged_under": asks.rows(_JUDGED_UNDER, {}),
        "restatements": [_restatement(row) for row in restatements],
    }


_COUNTS = ", ".join(f"count(*) filter (threshold_source = '{name}') as {name}_" for name in _EVIDENCE)
_ESTIMATES = f"""
    select
        source_class,
        count(*) as downloads,
        count(threshold_source) as with_threshold,
        {_COUNTS}
    from fct_downloads
    where downloads = 1
    group by source_class
    order by source_class
"""
_JUDGED_UNDER = """
    select source_class, coalesce(rules_version, 'unknown') as rules_version, count(*) as downloads
    from fct_downloads
    where downloads = 1
    group by source_class, rules_version
    order by source_class, downloads desc, rules_version
"""
_RESTATEMENTS = """
    select
        restated_at, min(first_day) as first_day, max(last_day) as last_day, rules_version, source_class,
        coalesce(sum(former_published) filter (reason is null), 0) as before,
        coalesce(sum(restated_published) filter (reason is null), 0) as after
    from fct_restatements
    group by restated_at, rules_version, source_class
    order by restated_at, source_class
"""


def _marts_line(published: Basis, span: Row, settings: Settings) -> str:
    of_days = f", dates {span['first']} to {span['last']}" if span["first"] else ", still empty"
    line = f"version {published.version} of {published.made_at}{of_days}"
    if published.window is not settings.window:
        line += f"; counted under `{published.window.value}` until the next build"
    return line


def _estimates(row: Row) -> Row:
    known = row["with_threshold"]
    shares = {name: _share(row[f"{name}_"] / known) if known else "" for name in _EVIDENCE}
    estimated = _share(1 - row["episode_"] / known) if known else "none: no bytes seen"
    return {
        "source_class": row["source_class"],
        "downloads": row["downloads"],
        "estimated": estimated,
        **shares,
    }


def _restatement(row: Row) -> Row:
    return {
        "at": f"{row['restated_at']:%Y-%m-%d %H:%M} UTC",
        "days": f"{row['first_day']} to {row['last_day']}",
        "rules_version": row["rules_version"],
        "source_class": row["source_class"],
        "before": f"{row['before']:,}",
        "after": f"{row['after']:,}",
    }


def _share(share: float) -> str:
    return f"{share * 100:.1f} %".replace(".0 %", " %")


def _date(us: int | None) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}" if us else ""


def _cell(text: object) -> str:
    """Text from outside, in a cell of a table."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|")
