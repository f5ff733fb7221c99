"""`earshot attribution explain`: what is told of published marts whose numbers were worked out by hand."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

from earshot.attribution.answer import explain
from earshot.attribution.listed import listing
from earshot.attribution.totals import totals
from earshot.published import NothingPublished
from ingest.settings import Settings
from serving.attribution.headline import in_short
from serving.attribution.marts import NoAttribution
from serving.attribution.model import State, Verdict
from serving.attribution.terms import Estimate, Holdout
from serving.attribution.totals import By
from tests.attribution.published_marts import LIFTS, pooled, published
from tests.registry.collaboration_rows import KEY_A, A, B
from tests.registry.command_line import Earshot, typed

__all__ = ["typed"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    data = tmp_path_factory.mktemp("data")
    published(data)
    return Settings(data=data)


def test_a_final_number_is_the_sum_that_one_does_by_hand(settings: Settings) -> None:
    found = explain(1, settings)
    assert (found.state, found.verdict) == (State.FINAL, Verdict.GAIN)
    assert found.headline[0] == "About 90 new listeners (90 % interval 62 to 118)."
    assert found.headline[-1] == "Final since 2026-07-15."
    assert found.estimate == Estimate(90.0, 62.5, 117.5) and found.forecast is None
    sums = found.calculation
    assert sums is not None
    assert (sums.reach, sums.exposed, sums.converted) == (6974, 3170, 90)
    assert sums.base == pytest.approx(40)
    assert sums.excess == sums.own == pytest.approx(45) and sums.of_siblings == 0
    assert sums.not_known == pytest.approx(5579.2)
    assert sums.scaled == pytest.approx(79.2)
    assert sums.se == pytest.approx(12.5)
    assert [one.expected for one in found.strata] == pytest.approx([7.843, 5.157, 27])
    placebo = found.placebo
    assert placebo is not None
    assert (placebo.episodes, placebo.converts) == (4, 12)
    assert placebo.expected == pytest.approx(10)


def test_a_holdout_is_told_beside_the_number(settings: Settings) -> None:
    assert explain(1, settings).holdout == Holdout(317, 4, Estimate(100.0, 20.5, 179.5))
    assert explain(3, settings).holdout is None


def test_a_provisional_number_is_one_so_far_with_a_forecast_and_a_day(settings: Settings) -> None:
    found = explain(2, settings)
    assert found.state is State.PROVISIONAL
    assert found.headline[0] == "So far about 16 new listeners (90 % interval 9.4 to 23)."
    assert found.headline[-1] == (
        "In the end, with data until 2026-09-23 (they end on 2026-09-01), it is forecast to be about 32 "
        "(18 to 46)."
    )
    assert found.forecast == Estimate(32, 18, 46)


def test_what_siblings_brought_is_taken_off_the_excess(settings: Settings) -> None:
    found = explain(2, settings)
    assert found.calculation is not None
    assert found.calculation.own == pytest.approx(8)
    assert found.calculation.of_siblings == pytest.approx(2)
    (other,) = found.overlaps
    assert (other.collaboration_id, other.partner, other.common_keys) == (3, "Partner 3", 150)
    assert other.brought == pytest.approx(found.calculation.of_siblings)


def test_of_no_effect_the_words_say_that_the_data_cannot_tell(settings: Settings) -> None:
    found = explain(3, settings)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.headline[0] == "About 3.2 new listeners (90 % interval −14 to 21)."
    assert "cannot tell this from no effect" in found.headline[1]
    assert found.cost is not None and found.cost.high is None  # no upper end
    assert [flag.name for flag in found.flags] == ["no_history", "linkability_assumed", "not_calibrated"]


def test_of_too_few_there_is_an_upper_bound_and_no_number(settings: Settings) -> None:
    found = explain(4, settings)
    assert found.verdict is Verdict.INSUFFICIENT
    assert found.headline[0] == (
        "Fewer than 9 new listeners: too little was seen to tell. Why: exposed and new to the show were 150, "
        "and it takes 200."
    )
    assert found.estimate is None and found.difference is None and found.at_most == 9
    assert found.calculation is not None and found.calculation.excess == 1.5  # what was seen is told
    assert found.calculation.new_listeners is None
    assert found.cost is not None and found.cost.per_new_listener is None
    assert "insufficient" in [flag.name for flag in found.flags]


def test_a_planned_one_says_when_it_begins_and_when_it_is_final(settings: Settings) -> None:
    found = explain(5, settings)
    assert found.verdict is Verdict.NOTHING_YET and found.calculation is None and not found.flags
    assert "begins on 2026-11-01" in found.headline[0] and "final on 2026-12-15" in found.headline[1]


def test_without_data_it_says_whose_are_missing(settings: Settings) -> None:
    found = explain(6, settings)
    assert found.verdict is Verdict.NO_DATA and found.calculation is None
    assert "show-b6 (the partner)" in found.headline[1] and "Garden Talk" not in found.headline[1]


def test_an_interval_below_zero_is_said_to_be_one(settings: Settings) -> None:
    found = explain(7, settings)
    assert found.verdict is Verdict.LOSS
    assert "20 new listeners fewer than without it (−20, 90 % interval −35 to −5)" in found.headline[0]
    assert "whole interval lies below 0" in found.headline[1]


def test_a_cost_is_that_of_a_new_listener_with_its_interval(settings: Settings) -> None:
    cost = explain(1, settings).cost
    assert cost is not None and cost.low is not None and cost.high is not None
    assert (cost.per_new_listener, cost.currency) == (2.0, "EUR")
    assert (cost.low, cost.high) == pytest.approx((180 / 117.5, 180 / 62.5))


def test_retention_is_told_as_a_part_of_the_excess(settings: Settings) -> None:
    assert [(one.episodes, one.share) for one in explain(1, settings).retained] == [(2, 0.7), (4, 0.4)]
    assert explain(3, settings).retained == ()  # 0 lies inside its interval


def test_the_gross_figure_is_the_sum_of_its_parts(settings: Settings) -> None:
    one = explain(1, settings).difference
    assert one is not None
    assert (one.gross, one.incremental) == (300, 90)
    assert one.organic == pytest.approx(90) and one.rest == pytest.approx(120)
    assert one.organic_share == pytest.approx(0.5)


def test_gross_figures_are_told_by_window_and_rule(settings: Settings) -> None:
    by = {(one.window_days, one.rule): one.new_listeners for one in explain(1, settings).gross}
    assert len(by) == 16
    assert by[(30, "last_touch")] == 300 and by[(7, "linear")] == 195.5
    (beside,) = explain(7, settings).gross  # no row in fct_attribution_gross
    assert (beside.rule, beside.window_days, beside.new_listeners) == ("last_touch", 30, 12)


def test_the_list_has_the_newest_first_and_can_be_of_one_show(settings: Settings) -> None:
    assert [one.collaboration_id for one in listing(settings)] == [5, 2, 3, 6, 1, 4, 7]
    assert [one.collaboration_id for one in listing(settings, "evil")] == [4]
    assert len(listing(settings, "Garden Talk")) == 6
    with pytest.raises(NoAttribution, match="alike are Garden Talk"):
        listing(settings, "Garden Tlak")


# --- what cannot be told


def test_without_marts_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished, match="`earshot run` builds"):
        explain(1, Settings(data=tmp_path))


def test_an_unknown_one_is_told_with_those_there_are(settings: Settings) -> None:
    with pytest.raises(NoAttribution, match=r"no collaboration 99; there are 1, 2, 3, 4, 5, 6, 7$"):
        explain(99, settings)


def test_marts_without_any_say_how_to_record_one(tmp_path: Path) -> None:
    published(tmp_path, lifts=[])
    with pytest.raises(NoAttribution, match="earshot collaboration add"):
        explain(1, Settings(data=tmp_path))
    assert listing(Settings(data=tmp_path)) == []


@pytest.mark.parametrize("missing", ["fct_collaboration_lift", "fct_attribution_gross.touches"])
def test_marts_of_an_older_earshot_are_told_apart(tmp_path: Path, missing: str) -> None:
    published(tmp_path, without=missing)
    with pytest.raises(NoAttribution, match=missing.rpartition(".")[2]) as told:
        explain(1, Settings(data=tmp_path))
    assert "whole build" in str(told.value)


def test_one_recorded_after_the_build_is_told_when_it_comes(typed: Earshot, tmp_path: Path) -> None:
    published(tmp_path / "data", lifts=LIFTS[1:2])  # of id 2
    typed("register", A, B)
    added = typed("collaboration", "add", A, B, "--type", "host_read", "--starts", "2026-11-01")
    assert added.code == 0, added.err
    said = typed("attribution", "explain", 1)
    assert said.code == 1
    assert "collaboration 1 is recorded" in said.err and "within some ten minutes" in said.err
    assert typed("collaboration", "end", 1, "--void").code == 0
    assert "was declared void" in typed("attribution", "explain", 1).err
    assert "have no collaboration 3; there are 2" in typed("attribution", "explain", 3).err


# --- what the registry says by now


@pytest.fixture
def recorded(typed: Earshot, tmp_path: Path) -> Earshot:
    """Collaboration 1 in the registry, as the marts have it."""
    published(tmp_path / "data")
    typed("register", A, B)
    arguments = ("--starts", "2026-06-01T06:00Z", "--cost", "180", "--currency", "EUR")
    assert typed("collaboration", "add", A, B, "--type", "guest_swap", *arguments).code == 0
    return typed


def test_what_the_registry_says_as_the_marts_do_is_no_news(recorded: Earshot) -> None:
    said = recorded("attribution", "explain", 1).out
    assert "Changed since" not in said and "void" not in said


def test_what_was_changed_after_the_build_is_told_above_the_number(recorded: Earshot) -> None:
    again = ("--starts", "2026-06-01T06:00Z", "--cost", "200", "--currency", "EUR")
    recorded("collaboration", "add", A, B, "--type", "guest_swap", *again)
    recorded("collaboration", "end", 1, "--at", "2026-06-05")
    lines = recorded("attribution", "explain", 1).out.splitlines()
    assert lines[1].startswith(
        "Changed since: its end of what is measured is 2026-06-05 00:00 UTC, here 2026-06-15"
    )
    assert lines[2].startswith("Changed since: its cost is 200.00 EUR, here 180.00 EUR; the next build")


def test_one_that_is_void_by_now_is_told_as_such(recorded: Earshot) -> None:
    recorded("collaboration", "end", 1, "--void")
    assert recorded("attribution", "explain", 1).out.splitlines()[1].startswith("Declared void at ")
    assert "declared void" in recorded("attribution", "list").out
    listed = json.loads(recorded("attribution", "list", "--json").out)
    assert [one["collaboration_id"] for one in listed if one["is_void"]] == [1]


@pytest.mark.parametrize("name", [A, str(KEY_A), "garden  TALK", "show-a"])
def test_a_show_is_named_as_everywhere(recorded: Earshot, name: str) -> None:
    listed = json.loads(recorded("attribution", "list", "--json", "--show", name).out)
    assert 1 in [one["collaboration_id"] for one in listed]


# --- together


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("partner", ["Partner 1", "Partner 2"]),
        ("type", ["guest_swap", "host_read"]),
        ("month", ["2026-06", "2026-07"]),
    ],
)
def test_totals_are_those_of_the_marts(typed: Earshot, tmp_path: Path, by: str, groups: list[str]) -> None:
    published(tmp_path / "data")
    rows = list(
        csv.DictReader(io.StringIO(typed("attribution", "totals", "--by", by, "--format", "csv").out))
    )
    assert [row["group"] for row in rows] == groups
    assert {(row["show"], row["new_listeners"], row["low"], row["state"]) for row in rows} == {
        ("Garden Talk", "90.0", "62.5", "final"),
        ("Garden Talk", "89.2", "50.0", "provisional"),
    }
    shown = typed("attribution", "totals", "--by", by, "--show", "Garden Talk").out
    assert "90 (62 to 118)" in shown and "2.00 EUR" in shown and "89 (50 to 128) so far" in shown


def test_totals_of_too_few_have_a_bound_where_the_marts_have_it(settings: Settings, tmp_path: Path) -> None:
    published(tmp_path, without="fct_partner_lift.new_listeners")
    with pytest.raises(NoAttribution, match="fct_partner_lift"):
        totals(Settings(data=tmp_path), By.PARTNER)
    with pytest.raises(NoAttribution, match="alike are Garden Talk"):
        totals(settings, By.TYPE, "Garden Tlak")


def test_totals_may_have_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = pooled("partner_show_id", "show-b1").with_columns(
        is_insufficient=pl.lit(True), at_most=pl.lit(9), new_listeners=pl.lit(None, pl.Float64)
    )
    monkeypatch.setattr("tests.attribution.published_marts.pooled", lambda *_: newer)
    published(tmp_path)
    (found,) = totals(Settings(data=tmp_path), By.PARTNER)
    assert (found.estimate, found.at_most, in_short(found)) == (None, 9, "fewer than 9")


# --- as typed


def test_the_list_is_csv_too(typed: Earshot, tmp_path: Path) -> None:
    published(tmp_path / "data")
    rows = list(csv.DictReader(io.StringIO(typed("attribution", "list", "--format", "csv").out)))
    by_id = {row["collaboration_id"]: row for row in rows}
    assert len(by_id) == len(LIFTS)
    assert (by_id["1"]["new_listeners"], by_id["1"]["low"], by_id["1"]["cost"]) == ("90.0", "62.5", "180.0")
    assert (by_id["4"]["new_listeners"], by_id["4"]["at_most"]) == ("", "9.0")
    assert by_id["2"]["forecast_high"] == "46.0" and by_id["2"]["starts_at"] == "2026-08-10T00:00:00Z"


def test_json_is_the_whole_answer(typed: Earshot, tmp_path: Path) -> None:
    published(tmp_path / "data")
    said = typed("attribution", "explain", 1, "--json")
    found = json.loads(said.out)
    assert found["headline"][0].startswith("About 90 new listeners")
    assert found["estimate"] == {"value": 90.0, "low": 62.5, "high": 117.5}
    assert found["collaboration"]["starts_at"] == "2026-06-01T06:00:00Z"
    assert found["collaboration"]["episode_key"] == str(-(2**60) - 1)
    assert found["calculation"]["organic"] == 45 and len(found["gross"]) == 16
    listed = json.loads(typed("attribution", "list", "--json").out)
    assert [one["verdict"] for one in listed[:3]] == ["nothing_yet", "gain", "cannot_tell"]


def test_markdown_goes_to_a_file_or_the_screen(typed: Earshot, tmp_path: Path) -> None:
    published(tmp_path / "data")
    shown = typed("attribution", "explain", 1, "--markdown", "-")
    written = typed("attribution", "explain", 1, "--markdown", tmp_path / "one.md")
    assert (written.code, written.out) == (0, "")
    assert (tmp_path / "one.md").read_text("utf-8") == shown.out
    assert shown.out.startswith("# What collaboration 1 brought to Garden Talk\n")
    both = typed("attribution", "explain", 1, "--markdown", "-", "--json")
    assert both.code == 2 and "--json" in both.err


def test_it_changes_nothing(typed: Earshot, tmp_path: Path) -> None:
    published(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    for arguments in (("explain", 1), ("explain", 99), ("list",)):
        typed("attribution", *arguments)
    assert sorted(tmp_path.rglob("*")) == before
