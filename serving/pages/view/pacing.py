"""How episodes set out: their first weeks against the band of the show, and a table of the newest."""

from __future__ import annotations

from serving.pages.charts import pacing
from serving.pages.charts.draw import Drawing, drawing
from serving.pages.view.parts import EPISODE, OURS, Cell, Figure, Key, Section, Table, columns
from serving.pages.view.sight import Asks, Row, Sight
from serving.pages.view.words import count, day, duration, episode_href, percent, times

DAYS = 30
NEWEST = 3  # episodes drawn
LISTED = 20
_MARKS = ("line", "mark", "third")

_BAND = """
    select age_days, episodes, p25_downloads, median_downloads, p75_downloads, episodes_too_young,
        episodes_before_data
    from fct_show_pacing
    where show_id = $show and source_class = $class
    order by age_days
"""
_NEWEST = """
    select p.episode_key, p.age_days, p.downloads, p.ratio_to_show_median,
        coalesce(e.episode_title, p.episode_id) as title, p.published_at
    from fct_episode_pacing as p
    join dim_episodes as e using (episode_key)
    where p.show_id = $show and p.source_class = $class and p.is_complete
    order by p.published_at desc, p.episode_key, p.age_days
"""
_LISTED = """
    with downloads as (
        select episode_key, sum(downloads) as downloads, sum(listeners) as at_most_listeners
        from fct_episode_daily
        where show_id = $show and source_class = $class
        group by episode_key
    ),
    ages as (
        select
            episode_key,
            max(downloads) filter (age_days = 7 and is_complete) as first_7,
            max(ratio_to_show_median) filter (age_days = 7) as ratio_7,
            max(downloads) filter (age_days = 30 and is_complete) as first_30
        from fct_episode_pacing
        where show_id = $show and source_class = $class
        group by episode_key
    )
    select e.episode_key, coalesce(e.episode_title, e.episode_id) as title, e.published_at, e.duration_s,
        coalesce(d.downloads, 0) as downloads, a.first_7, a.ratio_7, a.first_30
    from dim_episodes as e
    left join downloads as d using (episode_key)
    left join ages as a using (episode_key)
    where e.show_id = $show and e.is_in_catalog
    order by e.published_at desc nulls last, e.episode_key
    limit $limit
"""


def figure(asks: Asks, sight: Sight) -> Figure | None:
    """The typical first week of an episode."""
    week = {row["age_days"]: row for row in band(asks, sight)}.get(7)
    if not week or week["episodes"] < 2:
        return None
    many = week["episodes"]
    return Figure(
        "A typical episode's first 7 days",
        count(week["median_downloads"]),
        f"median of {count(many)} episodes; the middle half had {count(week['p25_downloads'])} to "
        f"{count(week['p75_downloads'])}",
        OURS,
    )


def section(asks: Asks, sight: Sight) -> Section:
    """The newest episodes of which at least a day is whole, drawn over the show's middle half."""
    here = band(asks, sight)
    lines = newest(asks, sight)
    title = "How new episodes set out"
    if not here or not lines:
        return Section(
            "pacing",
            title,
            OURS,
            nothing="No episode came out while the data reach and is a day old: there is nothing to compare.",
        )
    return Section(
        "pacing",
        title,
        OURS,
        lead=lead(lines[0]),
        chart=draw(here, lines),
        keys=keys(lines),
        table=table(here, lines),
        notes=_left_out(here),
    )


def band(asks: Asks, sight: Sight) -> list[Row]:
    """The show's quartiles by age; ages at which no episode is whole are left out."""
    found = asks.rows(_BAND, sight.params)
    return [
        row
        for row in found
        if row["age_days"] <= DAYS and row["episodes"] and sight.may_tell(row["p25_downloads"])
    ]


def newest(asks: Asks, sight: Sight, episode_key: int | None = None) -> list[list[Row]]:
    """The course of the newest episodes, or of one; a list of ages each."""
    courses: dict[int, list[Row]] = {}
    for row in asks.rows(_NEWEST, {"show": sight.show_id, "class": sight.source_class}):
        if row["age_days"] <= DAYS and sight.may_tell(row["downloads"]):
            courses.setdefault(row["episode_key"], []).append(row)
    if episode_key is not None:
        return [courses[episode_key]] if episode_key in courses else []
    return list(courses.values())[:NEWEST]


def draw(quartiles: list[Row], lines: list[list[Row]]) -> Drawing:
    """The chart of a band and some courses."""
    start = {"age": 0, "p25": 0, "median": 0, "p75": 0}
    points = [
        {"age": 0, "value": 0, "episode": str(number), "told": "publication"} for number in range(len(lines))
    ]
    points += [
        {
            "age": row["age_days"],
            "value": row["downloads"],
            "episode": str(number),
            "told": f"{row['title']}: {count(row['downloads'])} in the first {_days(row['age_days'])}",
        }
        for number, line in enumerate(lines)
        for row in line
    ]
    return drawing(
        pacing.pacing,
        "Downloads of the newest episodes by days since publication, against the middle half of the show's "
        "episodes; the table below has the figures",
        {
            "band": [
                start,
                *(
                    {
                        "age": row["age_days"],
                        "p25": row["p25_downloads"],
                        "median": row["median_downloads"],
                        "p75": row["p75_downloads"],
                    }
                    for row in quartiles
                ),
            ],
            "episodes": points,
        },
        days=DAYS,
        series=tuple(str(number) for number in range(len(lines))),
    )


def keys(lines: list[list[Row]]) -> tuple[Key, ...]:
    return (
        *(
            Key(mark, line[0]["title"], episode_href(line[0]["episode_key"]))
            for mark, line in zip(_MARKS, lines, strict=False)
        ),
        Key("band", "middle half of the show's episodes"),
        Key("median", "median"),
    )


def lead(line: list[Row]) -> str:
    last = line[-1]
    ratio = last["ratio_to_show_median"]
    text = (
        f"“{last['title']}” had {count(last['downloads'])} downloads in its first {_days(last['age_days'])}"
    )
    if ratio is None:
        return text + "."
    if abs(ratio - 1) < 0.02:
        return text + ", as many as a typical episode of the show."
    more = "more" if ratio > 1 else "fewer"
    return text + f", {percent(abs(ratio - 1))} {more} than a typical episode of the show."


def _days(age: int) -> str:
    return "day" if age == 1 else f"{age} days"


def table(quartiles: list[Row], lines: list[list[Row]]) -> Table:
    told = [{row["age_days"]: row["downloads"] for row in line} for line in lines]
    return Table(
        "Downloads by days since publication",
        columns(
            "Days#", *(f"{line[0]['title']}#" for line in lines), "Lower quartile#", "Median#",
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


def _left_out(quartiles: list[Row]) -> tuple[str, ...]:
    before = quartiles[-1]["episodes_before_data"]
    if not before:
        return ()
    episodes = "One episode is" if before == 1 else f"{count(before)} episodes are"
    return (f"{episodes} not compared: the data begin after publication, so their first days are missing.",)


def episodes(asks: Asks, sight: Sight) -> Section:
    """The newest episodes with their first week, month, and all there is."""
    found = asks.rows(_LISTED, {"show": sight.show_id, "class": sight.source_class, "limit": LISTED})
    if not found:
        return Section("episodes", "Episodes", EPISODE, nothing="The catalogue has no episode of the show.")
    most = max(row["downloads"] for row in found) or 1

    def told(value: float | None) -> str:
        return "few" if value and not sight.may_tell(value) else count(value)

    return Section(
        "episodes",
        "Episodes",
        EPISODE,
        lead=f"The newest {len(found)}. A dash: the data do not hold these days whole.",
        table=Table(
            "Episodes, the newest first",
            columns(
                "Episode", "Published", "Length#", "First 7 days#", "Against median#", "First 30 days#", "In all#"
            ),
            [
                (
                    Cell(row["title"], href=episode_href(row["episode_key"])),
                    Cell(day(row["published_at"])),
                    Cell(duration(row["duration_s"])),
                    Cell(told(row["first_7"])),
                    Cell(times(row["ratio_7"]) if sight.may_tell(row["first_7"]) else "–"),
                    Cell(told(row["first_30"])),
                    Cell(told(row["downloads"]), bar=row["downloads"] / most),
                )
                for row in found
            ],
        ),
        is_folded=False,
    )
