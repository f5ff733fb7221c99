"""User agents as logs have them: repaired where they are malformed (R11), each classified once."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl
import polars_hash as _polars_hash  # noqa: F401  registers .nchash

from ingest.logs.agents import CLASSIFIED, AgentRules, classify
from ingest.logs.distinct import Remembered
from ingest.logs.judge import is_watch_duplicate
from ingest.logs.prefixes import percent_decode
from ingest.logs.rejects import ADDRESS, MASK
from ingest.schema import Schema

JUDGED: Schema = {
    **CLASSIFIED,
    "is_watch_duplicate": pl.Boolean,  # R9
    "agent_key": pl.Int64,  # xxh3 of it
}
MAX_AGENT_CHARS = 1_024

_LABEL = re.compile(r"^\s*user-agent\s*:\s*", re.IGNORECASE)
# Somebody's address, as proxies write it. A version stands behind a slash, a letter, `-`, `_` or `rv:`.
_ADDRESS = re.compile(
    rf"(?:(?<![\w./%-])(?<!rv:)|(?<=//)|(?<=%[0-9A-Fa-f]{{2}})(?<!%2[Ff])){ADDRESS}(?![^\W_]|\.[0-9])"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# For Rust: no other agent is changed by `repaired` († a quarter of the cost of asking it for each).
_MAY_NEED_REPAIR = (
    r"(?s)[\x00-\x1f\x7f-\x9f]|^\s|\s$|^[\x22']|(?i:^user-agent\s*:)|^[^ ]*[%+][^ ]*$|^-?$"
    rf"|(?:^|[^\w./%-]|//|%[0-9A-Fa-f]{{2}}){ADDRESS}|^.{{{MAX_AGENT_CHARS + 1}}}"
)


def repaired(agent: str | None) -> str | None:
    """A malformed agent put right where the intent is clear (R11); null for empty and `-`."""
    if agent is None:
        return None
    text = _CONTROL.sub(" ", agent[: 4 * MAX_AGENT_CHARS]).strip()
    text = _LABEL.sub("", text)
    while len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    if " " not in text:
        if _is_encoded_again(text):
            text = _CONTROL.sub(" ", percent_decode(text)).strip()
        if " " not in text and ("+(" in text or ";+" in text):
            text = text.replace("+", " ").strip()
    text = _ADDRESS.sub(MASK, text[:MAX_AGENT_CHARS])
    return None if text in ("", "-") else text


def _is_encoded_again(text: str) -> bool:
    """A whole agent encoded once more: no space left, but escapes after a slash or around a comment.

    An app name alone (`BBC%20Sounds/1 CFNetwork/…`) is written so by Apple's own library, and the lists
    expect it. Plain searches: agents come from strangers, and a pattern for this is quadratic.
    """
    _, slash, behind = text.partition("/")
    return "%2f" in text.lower() or "%20(" in text or (bool(slash) and "%20" in behind)


@dataclass
class KnownAgents:
    """Agents judged so far, over segments and files; bounded, since agents come from strangers."""

    rules: AgentRules
    limit: int = 200_000

    def __post_init__(self) -> None:
        self._logged = Remembered(self._judge_logged, self.limit)
        self._stored = Remembered(self._judge, self.limit)

    def of(self, as_logged: pl.Series) -> pl.DataFrame:
        """Agents as logged (decoded) → as_logged and JUDGED of the repaired text, one row each but null."""
        return self._logged.of(as_logged.alias("as_logged"))

    def rows(self, as_logged: pl.Series) -> pl.DataFrame:
        """JUDGED of the repaired text of each agent, row for row; nulls for null."""
        return self._logged.rows(as_logged.alias("as_logged"))

    def of_stored(self, agents: pl.Series) -> pl.DataFrame:
        """Agents as the lake keeps them → JUDGED, one row each but null."""
        return self._stored.of(agents.alias("agent"))

    def _judge_logged(self, as_logged: pl.Series) -> pl.DataFrame:
        odd = as_logged.str.contains(_MAY_NEED_REPAIR)
        put_right = pl.Series([repaired(text) for text in as_logged.filter(odd)], dtype=pl.String)
        agents = as_logged.alias("agent").scatter(odd.arg_true(), put_right)
        judged = self._judge(agents.unique(maintain_order=True))
        return pl.DataFrame([as_logged, agents]).join(judged, on="agent", how="left", nulls_equal=True)

    def _judge(self, agents: pl.Series) -> pl.DataFrame:
        agent_key = pl.col("agent").nchash.xxh3_64().reinterpret(signed=True)  # type: ignore[attr-defined]
        return classify(agents.to_frame(), self.rules).with_columns(
            is_watch_duplicate=is_watch_duplicate(), agent_key=agent_key
        )
