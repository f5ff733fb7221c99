"""RAW → REQUESTS: what was served, which enclosure, who asked, and why a request by itself does not count.

Pure: frames in, frames out. Each distinct path, agent, referrer and address is worked on once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial

import polars as pl
import xxhash

from ingest.logs.agents import classify_referrers
from ingest.logs.distinct import Remembered
from ingest.logs.judge import SERVED, exclusion_reason, referrer_app
from ingest.logs.known_agents import KnownAgents
from ingest.logs.listeners import (
    KeyRing,
    address_keys,
    canonical_addresses,
    epoch_of,
    in_order,
    line_keys,
    mixed,
    mixed_columns,
)
from ingest.logs.masking import without_own_address
from ingest.logs.numbers import Numbers
from ingest.logs.rejects import without_addresses
from ingest.logs.rules import Rules
from ingest.logs.urls import enclosures
from ingest.schema import DAY_US, REQUESTS, REQUESTS_ORDER, Schema, SourceClass, conform
from ingest.suppression import Suppressions

EARLIEST_US = 1_262_304_000_000_000  # 2010-01-01: before podcasts were counted, a broken clock
MOST_BYTES = 2**50  # more is no size but nonsense; keeps the arithmetic below from overflowing
MOST_ADDRESSES = 500_000  # remembered: some 60 MB
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND"]

TOO_OLD = "older than what is kept"
TOO_LATE = "too late: the keys of its time were destroyed (setting late_days)"
PART: Schema = {"part": pl.UInt32}  # beside RAW: which of the files that are cleaned together

_REFERRER_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:@\[\]]{1,253})"
_IS_IPV4 = r"^[0-9.]+$"
_FIRST_TWO = r"(?i)^\s*bytes\s*=\s*0-1\s*$"
_RANGE_START = r"(?i)^\s*bytes\s*=\s*([0-9]{1,15})-"


@dataclass(frozen=True)
class Origin:
    """Where a frame of raw requests comes from."""

    file_id: str
    source: str
    source_class: SourceClass
    taken_in_us: int  # of the file's first intake: a rerun then decides alike
    max_future_h: float = 48

    @property
    def intake_day(self) -> date:
        """On which day entries of dated lists must act."""
        return datetime.fromtimestamp(self.taken_in_us / 1e6, UTC).date()


@dataclass(frozen=True)
class Cleaned:
    """height(raw) == height(requests) + height(refused) + height(erased)."""

    requests: pl.DataFrame  # REQUESTS, sorted by REQUESTS_ORDER
    refused: pl.DataFrame  # line_number, reason, address (as logged, to be cut out of the line's text)
    erased: pl.DataFrame  # line_number of those on the suppression list: nothing else is known of them

    def parts(self, count: int) -> list[Cleaned]:
        """The files that were cleaned together, by PART, each apart."""
        lengths = dict(self.requests["part"].rle().struct.unnest().select("value", "len").iter_rows())
        start, parts = 0, []
        for part in range(count):
            requests = self.requests.slice(start, lengths.get(part, 0))
            refused = self.refused.filter(pl.col("part") == part)
            erased = self.erased.filter(pl.col("part") == part)
            parts.append(Cleaned(requests.drop("part"), refused.drop("part"), erased.drop("part")))
            start += requests.height
        return parts


@dataclass
class Cleaner:
    """The rules, the secrets, and the agents seen so far."""

    rules: Rules
    keys: KeyRing
    first_day: date | None = None  # requests of earlier days were removed from the lake for their age
    suppressed: Suppressions = field(default_factory=Suppressions.none)

    def __post_init__(self) -> None:
        self._agents = KnownAgents(self.rules.agents)
        self._referrers = Remembered(self._judged_referrers)
        self._known_addresses: dict[tuple[int, date], Remembered] = {}

    def clean_together(self, files: Sequence[tuple[pl.DataFrame, Origin]]) -> list[Cleaned]:
        """`clean` of each (raw, origin). † Files of one source in one pass: it costs 20 ms."""
        alike: dict[Origin, list[int]] = {}
        for at, (_, origin) in enumerate(files):
            alike.setdefault(replace(origin, file_id=""), []).append(at)
        cleaned: dict[int, Cleaned] = {}
        for places in alike.values():
            if len(places) == 1:
                cleaned[places[0]] = self.clean(*files[places[0]])
                continue
            raws = [files[at][0].with_columns(part=pl.lit(part, pl.UInt32)) for part, at in enumerate(places)]
            together = self.clean(pl.concat(raws, rechunk=True), files[places[0]][1])
            for at, part in zip(places, together.parts(len(places)), strict=True):
                file_id = pl.lit(files[at][1].file_id).alias("file_id")
                cleaned[at] = replace(part, requests=part.requests.with_columns(file_id))
        return [cleaned[at] for at in range(len(files))]

    def clean(self, raw: pl.DataFrame, origin: Origin) -> Cleaned:
        """RAW → REQUESTS; a row without a usable time or address is refused. PART stays if there is one."""
        rows = raw.with_columns(key_epoch=epoch_of(pl.col("started_us")))
        latest_us = origin.taken_in_us + int(origin.max_future_h * 3_600_000_000)
        too_late = f"time is impossible: more than {origin.max_future_h:g} h after intake"
        wrong_time = (
            pl.when(pl.col("started_us") < EARLIEST_US)
            .then(pl.lit("time is impossible: before 2010-01-01"))
            .when(pl.col("started_us") > latest_us)
            .then(pl.lit(too_late))
        )
        if self.first_day is not None:
            is_old = pl.from_epoch("started_us", time_unit="us").dt.date() < self.first_day
            too_old = f"{TOO_OLD}: before {self.first_day} (setting keep_days)"
            wrong_time = wrong_time.when(is_old).then(pl.lit(too_old))
        rows, refused = _refuse(
            rows, wrong_time.when(self._is_keyless(rows["key_epoch"])).then(pl.lit(TOO_LATE))
        )
        rows = self._with_addresses(rows, origin.intake_day)
        unreadable = pl.when(pl.col("canonical").is_null()).then(pl.lit("client address is unreadable"))
        rows, without_address = _refuse(rows, unreadable)
        is_erased = self.suppressed.is_suppressed(rows)
        erased = rows.select(*_part(rows), "line_number").filter(is_erased)
        rows = rows.filter(~is_erased).rechunk() if erased.height else rows
        return Cleaned(self._requests(rows, origin), pl.concat([refused, without_address]), erased)

    def _is_keyless(self, epochs: pl.Series) -> pl.Expr:
        """Is a row's secret, or that of the epoch before, destroyed? It never gets others in their place."""
        gone = [epoch for epoch in epochs.drop_nulls().unique().sort() if not self.keys.can_key(epoch)]
        return pl.col("key_epoch").is_in(gone) if gone else pl.lit(False)

    def _with_addresses(self, rows: pl.DataFrame, intake_day: date) -> pl.DataFrame:
        """`rows` with what is found out of each address: canonical form, keys, the lists it is in."""
        epochs = rows["key_epoch"].unique()
        if epochs.len() == 1:  # but for one segment a month
            return rows.hstack(self._addresses(epochs[0], intake_day).rows(rows["address"]))
        parts = [self._with_addresses(part, intake_day) for part in rows.partition_by("key_epoch")]
        if not parts:
            return rows.hstack(self._found_of(rows["address"], 0, intake_day).drop("address"))
        return pl.concat(parts, rechunk=True)

    def _addresses(self, epoch: int, intake_day: date) -> Remembered:
        """Of an epoch, for a file taken in that day, which dated lists go by."""
        if (epoch, intake_day) not in self._known_addresses:
            judge = partial(self._found_of, epoch=epoch, intake_day=intake_day)
            self._known_addresses = {(epoch, intake_day): Remembered(judge, MOST_ADDRESSES)}
        return self._known_addresses[epoch, intake_day]

    def _found_of(self, addresses: pl.Series, epoch: int, intake_day: date) -> pl.DataFrame:
        """Of each address, in its order."""
        canonical = canonical_addresses(addresses).alias("canonical")
        keyed = address_keys(
            pl.DataFrame([canonical]).with_columns(key_epoch=pl.lit(epoch, pl.Int32)), self.keys
        )
        numbers = Numbers(canonical)
        return keyed.drop("key_epoch").with_columns(
            addresses, *self.rules.address_evidence(numbers, intake_day), *self.rules.networks.of(numbers)
        )

    def _requests(self, rows: pl.DataFrame, origin: Origin) -> pl.DataFrame:
        is_prefix = origin.source_class is SourceClass.PREFIX
        known_method = pl.when(pl.col("method").is_in(METHODS)).then("method")
        rows = rows.with_columns(
            method=known_method.when(pl.col("method").is_not_null()).then(pl.lit("OTHER"))
        )
        rows = pl.concat([rows, enclosures(rows, self.rules.prefixes, is_prefix)], how="horizontal")
        agents, referrers = self._agents.rows(rows["agent"]), self._referrers.rows(rows["referrer"])
        rows = rows.drop("agent").hstack(agents).hstack(referrers)
        rows = self._masked(rows)
        rows = rows.with_columns(line_keys(rows, self.keys))
        rows = rows.with_columns(
            *_keys(rows, origin.source),
            agent_type=pl.col("agent_type").fill_null("none"),
            is_first_two=_is_first_two(),
        )
        by_key = self.rules.listed_by_key(origin.intake_day)
        rows = rows.with_columns(
            range_start=_first_byte(is_prefix),
            referrer_app=referrer_app(),
            exclusion_reason=exclusion_reason(origin.source_class, by_key),
        )
        rows = rows.with_columns(
            served_bytes=_served_bytes(is_prefix), resource_bytes=_resource_bytes(is_prefix)
        )
        # By day first: the lake keeps a file a day, and cutting is cheaper than gathering.
        part = PART if "part" in rows.columns else {}
        days = rows.select((pl.col("started_us") // DAY_US).unique()).height
        constants = {
            "file_id": origin.file_id,
            "source": origin.source,
            "source_class": origin.source_class.value,
            "rules_version": self.rules.version,
        }
        stored = [*part, *(name for name in REQUESTS if name in rows.columns)]
        order = [*(["day_number"] if days > 1 else []), *REQUESTS_ORDER]
        rows = rows.select(*stored, (pl.col("started_us") // DAY_US).alias("day_number"))
        # Not in this order where there was more than one key epoch.
        parts = [rows.filter(pl.col("part") == n) for n in rows["part"].unique().sort()] if part else []
        rows = pl.concat(in_order(one, order) for one in parts or [rows])
        return conform(
            rows.with_columns(pl.lit(v).alias(k) for k, v in constants.items()), part | REQUESTS
        ).collect()

    def _masked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` without their own address in a text; an agent is judged as the lake keeps it."""
        masked = without_own_address(rows)
        if masked is rows:
            return rows
        changed = masked["agent"].ne_missing(rows["agent"])
        if not changed.any():
            return masked
        as_stored = self._agents.of_stored(masked["agent"].filter(changed))
        return pl.concat(
            [
                masked.filter(~changed),
                masked.filter(changed)
                .drop(set(as_stored.columns) - {"agent"})
                .join(as_stored, on="agent", how="left")
                .select(masked.columns),
            ]
        )

    def _judged_referrers(self, distinct: pl.Series) -> pl.DataFrame:
        """Distinct referrers with their host (null for an address), their name, whether they are bogus."""
        host = pl.col("referrer").str.extract(_REFERRER_HOST).str.to_lowercase().str.strip_chars_end(".")
        hosts = distinct.to_frame().select(pl.when(~host.str.contains(_IS_IPV4)).then(host)).to_series()
        return distinct.to_frame().with_columns(
            without_addresses(hosts).alias("referrer_host"),
            self.rules.bogus_referrers.match(distinct).alias("is_bogus_referrer"),
            classify_referrers(distinct, self.rules.agents)["referrer_app"].alias("referrer_match"),
        )


def _refuse(rows: pl.DataFrame, reason: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows without a reason, those with one as line_number, reason, address, and PART if there is one)."""
    reasons = rows.select(reason.alias("reason")).to_series()
    refused = rows.select(*_part(rows), "line_number", reasons, "address").filter(reasons.is_not_null())
    # In one chunk: see formats.base.finish.
    return (rows.filter(reasons.is_null()).rechunk() if refused.height else rows), refused


def _part(rows: pl.DataFrame) -> list[str]:
    return [name for name in PART if name in rows.columns]


def _keys(rows: pl.DataFrame, source: str) -> list[pl.Series]:
    """listener_key, listener_key_prev, request_key.

    Who, what and when are part of a request's key: an id that a broken server uses twice makes no two
    requests one, and a line that is delivered twice still has one key.
    """
    agent = rows["agent_key"].fill_null(_NO_AGENT)
    listener = mixed_columns(rows["address_key"], agent)
    before = mixed_columns(rows["address_key_prev"], agent)
    by_id = pl.concat_str(pl.lit(source + "\x1f"), "request_id").nchash.xxh3_64()  # type: ignore[attr-defined]
    by_line = mixed(pl.lit(_key_of(source), pl.Int64), pl.col("line_key"))
    is_named = rows["request_id"].null_count() == 0
    line = by_id.reinterpret(signed=True)
    line = rows.select(line if is_named else pl.coalesce(line, by_line)).to_series()
    request = mixed_columns(line, listener, rows["enclosure_key"], rows["started_us"])
    return [
        listener.alias("listener_key"), before.alias("listener_key_prev"), request.alias("request_key"),
    ]  # fmt: skip


def _key_of(text: str) -> int:
    return _signed(xxhash.xxh3_64_intdigest(text.encode()))


def _signed(key: int) -> int:
    return key - 2**64 if key >= 2**63 else key


_NO_AGENT = _key_of("")


def _size(name: str) -> pl.Expr:
    """A logged size, null where it is none."""
    return pl.when(pl.col(name).is_between(0, MOST_BYTES)).then(pl.col(name))


def _is_first_two() -> pl.Expr:
    """Asked for, or got, bytes 0-1 only (R8)."""
    got = (pl.col("range_start") == 0) & (pl.col("range_end") == 1)
    asked = pl.col("request_range").str.contains(_FIRST_TWO)
    return got.fill_null(False) | asked.fill_null(False)


def _first_byte(is_prefix: bool) -> pl.Expr:
    """First byte served: the response's own word, else for a 206 what was asked for, else the beginning."""
    if is_prefix:
        return pl.lit(0, pl.Int64)
    asked = pl.col("request_range").str.extract(_RANGE_START).cast(pl.Int64, strict=False)
    return pl.coalesce(
        _size("range_start"), pl.when(pl.col("status") == 206).then(asked), pl.lit(0, pl.Int64)
    )


def _served_bytes(is_prefix: bool) -> pl.Expr:
    """Body bytes served: as logged, never more than was promised (CloudFront's figure contains headers)."""
    if is_prefix:
        return pl.lit(0, pl.Int64)
    promised = pl.min_horizontal(
        pl.col("bytes_sent").clip(0, MOST_BYTES),
        _size("content_length"),
        _size("range_end") - pl.col("range_start") + 1,
        _size("resource_bytes") - pl.col("range_start"),
    )
    # A HEAD answer has no body whatever its length says, and an error page is no part of the enclosure.
    has_body = pl.col("status").is_in(SERVED) & (pl.col("method") != "HEAD").fill_null(True)
    return pl.when(has_body).then(promised.clip(lower_bound=0)).otherwise(0)


def _resource_bytes(is_prefix: bool) -> pl.Expr:
    """Size of the whole file: from Content-Range, or the length of a whole answer."""
    if is_prefix:
        return pl.lit(None, pl.Int64)
    return pl.coalesce(
        _size("resource_bytes"), pl.when(pl.col("status") == 200).then(_size("content_length"))
    )
