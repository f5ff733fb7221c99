"""A look and what follows: found, kept, told to each channel, noted. A crash sends at most once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.lake import utc_now_us
from ingest.settings import SettingError, Settings
from serving.alerts import looks, news
from serving.alerts.channels import Way, again_us, channels
from serving.alerts.state import FILE, Channel, State, alone, read, set_aside, write
from serving.alerts.troubles import NotSent, PartlySent


@dataclass
class Report:
    """What came of it."""

    open: int = 0  # alerts that are there now
    told: dict[str, int] = field(default_factory=dict)  # channel → alerts told of
    failed: dict[str, str] = field(default_factory=dict)  # channel, or `settings` → why

    @property
    def line(self) -> str:
        """For people."""
        parts = [f"{self.open:,} alerts" if self.open != 1 else "1 alert"]
        parts += [f"{name} was told of {number:,}" for name, number in self.told.items()]
        parts += [f"{name} failed: {why}" for name, why in self.failed.items()]
        return "; ".join(parts)


def look_and_tell(
    settings: Settings, now_us: int | None = None, at: Mapping[str, looks.Look] | None = None
) -> Report:
    """Look at what is due, tell each channel what it has not heard, in one message each.

    Others that want to do the same wait. `at`: the looks, all by default. Raises OSError where the state
    cannot be kept: then nothing is sent, for it would be sent again and again.
    """
    now_us = utc_now_us() if now_us is None else now_us
    report = Report()
    with alone(settings.data):
        state = read(settings.data)
        found = looks.look(settings, state.looked, now_us, at)
        if state.damaged:
            found[looks.ITSELF].append(looks.begun_anew(set_aside(settings.data, FILE)))
        news.merge(state, found, now_us)
        state.damaged = False
        write(state, settings.data)
        try:
            ways = channels(settings)
        except SettingError as error:
            report.failed["settings"] = str(error)
        else:
            _tell_all(settings, state, ways, report, now_us)
        report.open = sum(known.gone_us is None for known in state.alerts.values())
    return report


def _tell_all(settings: Settings, state: State, ways: Mapping[str, Way], report: Report, now_us: int) -> None:
    again = again_us(settings)
    state.channels = {name: state.channels.get(name, Channel()) for name in ways}
    for name, way in ways.items():
        channel = state.channels[name]
        if not news.is_due(channel, now_us):
            continue
        # Nobody knows whether it arrived: the very same goes out first, by whose id the receiver can tell.
        if channel.sending is not None and not _send(settings, state, name, way, report, now_us):
            continue
        items = news.news(state, name, again, now_us)
        if not items or news.is_collecting(channel, items, now_us):
            continue
        channel.sending = way.compose(items, news.message_id(name, items), settings, now_us)
        write(state, settings.data)
        _send(settings, state, name, way, report, now_us)
    before = len(state.alerts)
    news.forget(state, ways, again, now_us)
    if len(state.alerts) != before:
        write(state, settings.data)


def _send(settings: Settings, state: State, name: str, way: Way, report: Report, now_us: int) -> bool:
    """Send what `name` has to be sent, and note what came of it; whether it was taken."""
    channel = state.channels[name]
    composed, channel.sending = channel.sending, None
    assert composed is not None
    is_taken, problem = True, None
    try:
        way.send(composed, now_us)
    except NotSent as error:
        is_taken, problem = isinstance(error, PartlySent), str(error)
    if is_taken:
        news.note_success(channel, now_us)
        news.note_told(state, composed.about, name, now_us)
        if problem is None:
            report.told[name] = report.told.get(name, 0) + len(composed.about)
    if problem is not None:
        report.failed[name] = problem
        if is_taken:
            channel.problem = problem
        else:
            news.note_failure(channel, problem, now_us)
    write(state, settings.data)  # at once: what follows may be killed
    return is_taken


def try_channels(settings: Settings, now_us: int | None = None) -> dict[str, tuple[bool, str]]:
    """Send a test message to each channel: name → (whether it was taken, what was answered, or why not).

    A channel that answers is tried again at once, however long it had failed. Raises SettingError.
    """
    now_us = utc_now_us() if now_us is None else now_us
    answers = {}
    for name, way in channels(settings).items():
        try:
            answers[name] = (True, way.test(f"alert_test_{now_us}", settings, now_us))
        except NotSent as error:
            answers[name] = (False, str(error))
    with alone(settings.data):
        state = read(settings.data)
        for name, (is_taken, _) in answers.items():
            if is_taken:
                news.note_success(state.channels.setdefault(name, Channel()), now_us)
                state.channels[name].burst -= 1  # a test is no news
        write(state, settings.data)
    return answers
