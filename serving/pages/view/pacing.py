"""How episodes set out: their first weeks against the band of the show, and a table of the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.pages.charts import pacing
from serving.pages.charts.draw import Drawing, drawing
from serving.pages.view.parts import EPISODE, OURS, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import FEW, Row, Sight, ask, tells
from serving.pages.view.words import NOTHING, count, day, duration, episode_href, percent, times
from serving.reports import pacing as reports
from serving.reports.asking import Asks
from serving.reports.downloads import Episode
from serving.reports.episodes import episodes as report

DAYS = 30
NEWEST = 3  # episodes drawn
LISTED = 20
_MARKS = ("line", "mark", "third")


def band(asks: Asks, sight: Sight) -> list[Row]:
    """The show's quartiles by age; ages at which fewer than two episodes are whole are left out."""
    found = reports.band(sight.scope).rows(asks)
    return [row for row in found if row["age_days"] <= DAYS and row["episodes"] >= 2 and tells(row)]


def courses(asks: Asks, sight: Sight, episode: Episode | None = None, most: int = LISTED) -> list[list[Row]]:
    """Of each of the newest episodes, or of one, the ages that are whole; those without any are left out."""
    found: dict[str, list[Row]] = {}
    for row in reports.paces(sight.scope, episode, most).rows(asks):
        if row["is_complete"] and tells(row):
            found.setdefault(row["episode_id"], []).append(row)
    return list(found.values())


def figure(quartiles: Sequence[Row]) -> Figure | None:
    """The typical first week of an episode."""
    week = {row["age_days"]: row for row in quartiles}.get(7)
    if not week or week["episodes"] < 2:
        return None
    return Figure(
        "A typical episode's first 7 days",
        count(week["median_downloads"]),
        f"median of {count(week['episodes'])} episodes; the middle half had "
        f"{count(week['p25_downloads'])} to {count(week['p75_downloads'])}",
        OURS,
    )


def section(quartiles: Sequence[Row], newest: Sequence[list[Row]], keys: Mapping[str, int]) -> Section:
    """The newest episodes of which at least a day is whole, drawn over the show's middle half.

    keys: episode id → key, for links.
    """
    lines = [_to_the_end(line) for line in newest if line[0]["episode_id"] in keys][:NEWEST]
    title = "How new episodes set out"
    if not quartiles or not lines:
        return Section(
            "pacing",
            title,
            OURS,
            nothing="The data hold the first days of no two episodes whole: there is nothing to compare yet.",
        )
    links = tuple(
        Key(mark, name_of(line[0]), episode_href(keys[line[0]["episode_id"]]))
        for mark, line in zip(_MARKS, lines, strict=False)
    )
    return Section(
        "pacing",
        title,
        OURS,
        lead=lead(lines[0]),
        chart=draw(quartiles, lines),
        keys=(*links, *BAND_KEYS),
        table=table(quartiles, lines),
        notes=_left_out(quartiles),
    )


BAND_KEYS = (Key("band", "middle half of the show's episodes"), Key("median", "median"))


def name_of(row: Row) -> str:
    return str(row["episode_title"] or row["episode_id"])


def _to_the_end(line: list[Row]) -> list[Row]:
    return [row for row in line if row["age_days"] <= DAYS]


def draw(quartiles: Sequence[Row], lines: Sequence[list[Row]]) -> Drawing:
    """The chart of a band and some courses."""
    oldest = max(row["age_days"] for row in (*quartiles, *(row for line in lines for row in line)))
    points: list[Row] = []
    for number, line in enumerate(lines):
        points.append({"age": 0, "value": 0, "episode": str(number), "told": "publication"})
        points += [
            {
                "age": row["age_days"],
                "value": row["downloads"],
                "episode": str(number),
                "told": f"{name_of(row)}: {count(row['downloads'])} in the first {_days(row['age_days'])}",
            }
            for row in line
        ]
    named = {"p25": "p25_downloads", "median": "median_downloads", "p75": "p75_downloads"}
    return drawing(
        pacing.pacing,
        "Downloads by days since publication, against the middle half of the show's episodes; the table "
        "below has the figures",
        {
            "band": [
                {"age": 0, "p25": 0, "median": 0, "p75": 0},
                *(
                    {"age": row["age_days"], **{short: row[name] for short, name in named.items()}}
                    for row in quartiles
                ),
            ],
            "episodes": points,
        },
        days=next(days for days in (7, 14, DAYS) if oldest <= days),
        series=tuple(str(number) for number in range(len(lines))),
    )


def lead(line: Sequence[Row]) -> str:
    """How far one episode is, against the typical one."""
    last = line[-1]
    text = (
        f"“{name_of(last)}” had {count(last['downloads'])} downloads in its first {_days(last['age_days'])}"
    )
    ratio = last["ratio_to_show_median"]
    if ratio is None or (last["episodes"] or 0) < 2:
        return text + "."
    if abs(ratio - 1) < 0.02:
        return text + ", as many as a typical episode of the show."
    more = "more" if ratio > 1 else "fewer"
    return text + f", {percent(abs(ratio - 1))} {more} than a typical episode of the show."


def _days(age: int) -> str:
    return "day" if age == 1 else f"{age} days"


def table(quartiles: Sequence[Row], lines: Sequence[list[Row]]) -> Table:
    """The figures of a chart."""
    told = [{row["age_days"]: row["downloads"] for row in line} for line in lines]
    return Table(
        "Downloads by days since publication",
        columns(
            "Days#", *(f"{name_of(line[0])}#" for line in lines), "Lower quartile#", "Median#",
            "Upper quartile#", "Episodes compared#",
        ),
        [
            (
                Cell(str(row["age_days"])),
                *(Cell(count(one.get(row["age_days"]))) for one in told),
                Cell(count(row["p25_downloads"])),
                Cell(count(row["median_downloads"])),
                Cell(count(row["p75_downloads"])),
                Cell(count(row["episodes"])),
            )
            for row in quartiles
        ],
    )  # fmt: skip


def _left_out(quartiles: Sequence[Row]) -> tuple[str, ...]:
    before = quartiles[-1]["episodes_before_data"]
    if not before:
        return ()
    episodes = "One episode is" if before == 1 else f"{count(before)} episodes are"
    return (f"{episodes} not compared: the data begin after publication, so the first days are missing.",)


def listed(asks: Asks, sight: Sight) -> list[Row]:
    """The newest episodes with all their downloads so far."""
    return report(sight.scope, LISTED).rows(asks)


def keys_of(asks: Asks, sight: Sight) -> dict[str, int]:
    """Episode id → key: the address of its page."""
    sql = "select episode_id, episode_key from dim_episodes where show_id = $show and is_in_catalog"
    return {row["episode_id"]: row["episode_key"] for row in ask(asks, sql, sight.params)}


def episodes(
    found: Sequence[Row], paced: Sequence[list[Row]], keys: Mapping[str, int], sight: Sight
) -> Section:
    """A table of the newest episodes with their first week, month, and all there is."""
    if not found:
        return Section("episodes", "Episodes", EPISODE, nothing="The catalogue has no episode of the show.")
    most = max((row["downloads"] for row in found if tells(row)), default=0) or 1
    ages = {line[0]["episode_id"]: {row["age_days"]: row for row in line} for line in paced}

    def first(row: Row, days: int, name: str) -> float | None:
        value: float | None = ages.get(row["episode_id"], {}).get(days, {}).get(name)
        return value

    rows = []
    for row in found:
        out = row["published_at"] is None or row["published_at"].date() <= sight.last
        may = tells(row)
        rows.append(
            (
                Cell(name_of(row), href=episode_href(keys[row["episode_id"]])),
                Cell(day(row["published_at"])),
                Cell(duration(row["duration_s"])),
                Cell(count(first(row, 7, "downloads"))),
                Cell(times(first(row, 7, "ratio_to_show_median"))),
                Cell(count(first(row, 30, "downloads"))),
                Cell(
                    (count(row["downloads"]) if may else FEW) if out else NOTHING,
                    bar=row["downloads"] / most if out and may else None,
                ),
            )
        )
    headings = columns(
        "Episode", "Published", "Length#", "First 7 days#", "Against median#", "First 30 days#", "In all#"
    )
    told = [place for place in range(len(headings)) if any(row[place].text != NOTHING for row in rows)]
    return Section(
        "episodes",
        "Episodes",
        EPISODE,
        lead=(
            f"The newest {len(found)}. A dash: the data do not hold these days whole. In all: since "
            f"{day(sight.began)}, when the data begin."
        ),
        table=Table(
            "Episodes, the newest first",
            tuple(headings[place] for place in told),
            [[row[place] for place in told] for row in rows],
        ),
        is_folded=False,
    )
