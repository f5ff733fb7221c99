"""The pages of `earshot attribution explain`: their numbers add up, names from outside stay names."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from attribution.parameters import DEFAULTS
from earshot.attribution.markdown import as_markdown, escaped
from earshot.show import plain
from ingest.schema import APP_DEVICES
from serving.attribution.answer import explanation_of
from serving.attribution.blocks import Grid, Sum, Sums
from serving.attribution.flags import FLAGS
from serving.attribution.marts import MARTS, Rows
from serving.attribution.model import Explanation
from serving.attribution.numbers import exact, listeners
from serving.attribution.page import page
from serving.attribution.picture import GROSS, HIGH, LOW, VALUE, ZERO, picture
from serving.attribution.steps import Step
from serving.attribution.terms import Estimate
from tests.attribution.published_marts import (
    COHORT_ROWS,
    GROSS_ROWS,
    LIFTS,
    OVERLAP_ROWS,
    cohort,
    lift,
    number,
    published,
)
from tests.registry.command_line import Earshot, typed

__all__ = ["typed"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "attribution.md"
MACROS = ROOT / "dbt_project" / "macros" / "attribution.sql"
PUBLISHED = (1, "2026-09-01T13:00:00+00:00")  # version, made at


def told(collaboration_id: int) -> Explanation:
    """Of one of the published marts, without the files between."""

    def whole(mart: str, row: dict[str, object]) -> dict[str, object]:
        return dict.fromkeys(MARTS[mart]) | row

    def tuples(mart: str, rows: list[tuple[object, ...]]) -> list[dict[str, object]]:
        return [dict(zip(MARTS[mart], row, strict=True)) for row in rows if row[0] == collaboration_id]

    (of,) = [row for row in LIFTS if row["collaboration_id"] == collaboration_id]
    cohorts = [row for row in COHORT_ROWS if row["collaboration_id"] == collaboration_id]
    rows = Rows(
        whole("fct_collaboration_lift", of),
        [whole("fct_collaboration_cohorts", row) for row in cohorts],
        tuples("fct_collaboration_overlaps", OVERLAP_ROWS),
        tuples("fct_attribution_gross", GROSS_ROWS),
        [
            whole("fct_collaboration_lift", row)
            for row in LIFTS
            if row["collaboration_id"] != collaboration_id
        ],
    )
    return explanation_of(rows, *PUBLISHED)


def sums_of(of: Explanation) -> list[Sum]:
    blocks = [block for section in page(of).sections for block in section.blocks]
    return [line for block in blocks if isinstance(block, Sums) for line in block.lines]


def value(text: str) -> float:
    """What a calculator makes of it."""
    assert re.fullmatch(r"[−\d,. ×÷+()√]+", text), text
    python = re.sub(r"√([\d.,]+)", r"(\1)**0.5", text)
    return float(eval(python.replace("−", "-").replace("×", "*").replace("÷", "/").replace(",", "")))


@st.composite
def measured(draw: st.DrawFn) -> Explanation:
    """A collaboration as the models measure it, of any size; one sibling or none."""
    keys = draw(st.lists(st.integers(1, 200_000), min_size=9, max_size=9))
    pool = draw(st.lists(st.tuples(st.integers(1, 60_000), st.integers(0, 60_000)), min_size=9, max_size=9))
    pool = [(n, min(y, n // 4)) for n, y in pool]
    p = sum(y for _, y in pool) / sum(n for n, _ in pool)
    rates = [(y + DEFAULTS.pool_prior * p) / (n + DEFAULTS.pool_prior) for n, y in pool]
    converts = [draw(st.integers(0, max(1, n // 5))) for n in keys]
    m, theta_converts = draw(st.integers(1, 12)), draw(st.integers(0, 500))
    placebo_keys = draw(st.integers(0, 50_000))
    expected = placebo_keys * rates[0]
    theta = (theta_converts + DEFAULTS.prior) / (expected + DEFAULTS.prior)
    n, x = sum(keys), sum(converts)
    organic = theta * sum(k * r for k, r in zip(keys, rates, strict=True))
    q, link = draw(st.floats(0, 0.5)), draw(st.floats(0.5, 1))
    reach = round(n * draw(st.floats(1.1, 3)))
    siblings = draw(st.integers(0, 1))
    own = (x - organic) * (draw(st.floats(-0.5, 1.5)) if siblings else 1)
    new = own * reach * (1 - q) / n / link
    # se² as attribution.organic and attribution.figures have it; siblings add to it
    people, seen = reach * (1 - q) / link, min(n * link / (reach * (1 - q)), 1)
    theta_se = theta / (theta_converts + DEFAULTS.prior) ** 0.5
    of_rates = 1 / (theta_converts + DEFAULTS.prior) + 1 / max(sum(y for _, y in pool), 1)
    plain = max(x, 1) + organic**2 * of_rates
    variance = plain - seen * max(x - organic - DEFAULTS.z * plain**0.5, 0)
    se = variance**0.5 * people / n * (draw(st.floats(1, 2)) if siblings else 1)
    half = 2.0 * 1.1 * se
    row = lift(
        1,
        "final",
        reach=reach,
        exposed=n,
        known_share=q,
        converted=x,
        organic=organic,
        **number(new, new - half, new + half),
        theta=theta,
        theta_se=theta_se,
        theta_source="history",
        placebo_episodes=m,
        placebo_converts=theta_converts,
        placebo_expected=expected,
        se=se,
        linkability=link,
        siblings=siblings,
        gross_last_touch=draw(st.floats(0, 1e6)),
    )
    cohorts = [cohort(1, "exposed", s, k, c) for s, (k, c) in enumerate(zip(keys, converts, strict=True))]
    cohorts += [cohort(1, "contemporaneous", s, n, y) for s, (n, y) in enumerate(pool)]
    whole = dict.fromkeys(MARTS["fct_collaboration_lift"]) | row
    return explanation_of(Rows(whole, cohorts, [], []), *PUBLISHED)


@given(measured())
def test_who_calculates_again_comes_to_what_the_page_says(of: Explanation) -> None:
    for line in sums_of(of):
        formula, equals, result = line.sum.rpartition(" = ")
        if equals and "±" not in formula:
            terms = [abs(value(one)) for one in re.findall(r"[\d,.]+", formula)]
            # What rounding to four digits can make of it; a difference is as exact as its terms.
            slack = 0.002 * max(abs(value(result)), max(terms) if " − " in formula or " + " in formula else 0)
            assert value(formula) == pytest.approx(value(result), abs=slack + 0.011), line


@given(measured())
def test_the_headline_is_where_the_calculation_ends(of: Explanation) -> None:
    assert of.estimate is not None
    at = {line.what: line.sum.rpartition(" = ")[2] for line in sums_of(of)}
    assert at["÷ λ, for other keys of theirs"] == exact(of.estimate.value)
    shown = [listeners(number) for number in (of.estimate.low, of.estimate.high)]
    assert f"{shown[0]} to {shown[1]}" in of.headline[0]
    assert listeners(of.estimate.value) in of.headline[0]


@given(measured())
def test_the_cohort_table_and_the_gross_table_add_up(of: Explanation) -> None:
    grids = [block for section in page(of).sections for block in section.blocks if isinstance(block, Grid)]
    cohorts = next(grid for grid in grids if grid.columns[0] == "genre")
    for column in (2, 4, 7):
        *parts, whole = (value(row[column]) for row in cohorts.rows)
        assert sum(parts) == pytest.approx(whole, rel=1e-3, abs=0.05)
    for row in cohorts.rows[:-1]:
        assert value(row[3]) * value(row[5]) / 100 == pytest.approx(value(row[7]), rel=2e-3, abs=0.01)
    gross = next(grid for grid in grids if grid.columns[0].startswith("the gross figure"))
    *parts, whole = (value(row[1]) for row in gross.rows)
    assert sum(parts) == pytest.approx(whole, rel=1e-3, abs=0.001 * max(map(abs, parts)) + 0.05)


# --- the picture

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(numbers, st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.none() | st.floats(0, 1e6))
def test_a_picture_shows_on_which_side_of_no_effect_the_interval_lies(
    middle: float, below: float, above: float, gross: float | None
) -> None:
    of = Estimate(middle, middle - below, middle + above)
    line, legend = picture([("final", of)], gross)
    line = line.removeprefix("final  ")
    low, mark, high = (line.index(sign) for sign in (LOW, VALUE, HIGH))
    assert low < mark < high
    zero = line.find(ZERO)
    if of.low > 0:
        assert 0 <= zero < low
    elif of.high < 0:
        assert zero > high
    else:
        assert zero == -1 or low < zero < high  # or the estimate's mark stands on it
    assert len(line) == len(picture([("x", Estimate(0, -1, 1))], None)[0]) - 3
    assert (GROSS in legend) == (GROSS in line) == (gross is not None)


# --- on a terminal


@pytest.mark.parametrize("collaboration_id", range(1, 8))
def test_a_terminal_of_80_columns_shows_all_of_it_without_colour(
    typed: Earshot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, collaboration_id: int
) -> None:
    published(tmp_path / "data")
    monkeypatch.setenv("COLUMNS", "80")
    said = typed("attribution", "explain", collaboration_id)
    assert said.code == 0, said.err
    assert max(map(len, said.out.splitlines())) <= 80
    assert "\x1b" not in said.out and "…" not in said.out
    for line in sums_of(told(collaboration_id)):
        assert any(line.sum in shown and f"step {line.step:d}" in shown for shown in said.out.splitlines())
    assert " ".join(told(collaboration_id).headline) in " ".join(said.out.split())


def test_the_list_fits_80_columns_and_says_what_cannot_be_told(
    typed: Earshot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    published(tmp_path / "data")
    monkeypatch.setenv("COLUMNS", "80")
    said = typed("attribution", "list")
    assert max(map(len, said.out.splitlines())) <= 80 and "\x1b" not in said.out
    for words in ("90 (62 to 118)", "cannot tell", "fewer than 9", "planned", "no data"):
        assert words in said.out


# --- as Markdown


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_names_from_outside_are_shown_as_they_are(name: str) -> None:
    rendered = MarkdownIt("commonmark", {"html": True}).renderInline(escaped(f"x{name}x"))
    assert unescape(rendered) == plain(" ".join(f"x{name}x".split())).plain
    assert not re.search("<[a-z]", rendered)


def test_markdown_holds_what_the_terminal_shows() -> None:
    of = told(1)
    text = as_markdown(page(of))
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    cells = [token.content for token in tokens if token.type == "inline"]
    for line in sums_of(of):
        assert line.what in cells and line.sum in cells and str(int(line.step)) in cells
    assert sum(token.type == "table_open" for token in tokens) == 5
    assert f"**{of.headline[0]}**" in text


def test_a_hostile_title_breaks_no_table() -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(as_markdown(page(told(4))))
    assert not any(child.type == "html_inline" for token in tokens for child in token.children or ())
    assert not any(token.type == "html_block" for token in tokens)


# --- words


def test_each_step_and_flag_is_explained_in_the_documentation() -> None:
    text = DOCS.read_text("utf-8")
    for step in Step:
        assert re.search(rf"^### Step {step:d}: ", text, re.M), step
    for flag in FLAGS:
        assert f"| `{flag.name}` |" in text, flag.name
    for collaboration_id in range(1, 8):
        for section in page(told(collaboration_id)).sections:
            if not section.where.startswith("step") and section.where != "Gross figures":
                assert f"\n## {section.where}\n" in text, section.where


def test_the_documentation_names_each_parameter_with_its_default() -> None:
    said = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)(?: d)? \| [\d–]+ \|$", DOCS.read_text("utf-8"), re.M))
    macros = MACROS.read_text("utf-8")
    days = dict(re.findall(r"macro (\w+_us)\(\) %}{{ days_us\(([\d.]+)\) }}", macros))
    counts = dict(re.findall(r"macro (most_families)\(\) %}(\d+)", macros))
    counts |= dict(re.findall(r"{{ var\('(\w+)', (\d+)\) }}", macros))
    of_solve = {name: number for name, number in asdict(DEFAULTS).items() if isinstance(number, int | float)}
    del days["week_us"]  # of step 1, where it says so
    defaults = {name: float(of) for name, of in (days | counts | of_solve).items()}
    assert {name: float(of) for name, of in said.items()} == defaults


def test_the_documentation_names_each_column_that_apps_would_tell_in() -> None:
    section = DOCS.read_text("utf-8").partition("## Plays that apps tell of")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \| \w+ \| ", section, re.M)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(APP_DEVICES)


def test_an_interval_that_ends_at_zero_is_no_effect_either() -> None:
    assert Estimate(5, 0, 10).contains_zero and not Estimate(5, 0.1, 9.9).contains_zero


def test_no_gain_is_told_in_words_and_not_as_a_number_below_zero() -> None:
    row = next(row for row in LIFTS if row["collaboration_id"] == 3) | number(-0.16, -8.4, 8.1)
    whole = dict.fromkeys(MARTS["fct_collaboration_lift"]) | row
    found = explanation_of(Rows(whole, [], [], []), *PUBLISHED)
    assert found.headline[0] == "No gain was seen (−0.16 new listeners, 90 % interval −8.4 to 8.1)."
    assert "cannot tell" in found.headline[1]


def test_before_its_end_the_data_cannot_tell_yet() -> None:
    row = next(row for row in LIFTS if row["collaboration_id"] == 3) | {
        "state": "provisional",
        "exposure_ends_at": datetime(2026, 8, 25),
        "final_at": datetime(2026, 8, 25) + timedelta(days=30),
    }
    whole = dict.fromkeys(MARTS["fct_collaboration_lift"]) | row
    found = explanation_of(Rows(whole, [], [], []), *PUBLISHED)
    assert "cannot yet tell" in found.headline[1]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1234.5, "1,234"),
        (10.4, "10"),
        (9.96, "10"),
        (3.24, "3.2"),
        (0.04, "0.04"),
        (-35.2, "−35"),
        (-0.0, "0"),
    ],
)
def test_a_headline_has_whole_numbers_but_for_small_ones(number: float, shown: str) -> None:
    assert listeners(number) == shown
