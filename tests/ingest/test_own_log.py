"""One format of all logs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator

import pytest

from ingest import own_log
from ingest.settings import SettingError, Settings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]
    logging.captureWarnings(False)


def test_a_line_is_instant_level_logger_message(capsys: pytest.CaptureFixture[str]) -> None:
    own_log.set_up(Settings())
    logging.getLogger("earshot.api").info("version %d", 7)
    logging.getLogger("earshot.api").debug("not told")
    logging.getLogger("some.library").info("not told either")
    told = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO earshot\.api: version 7\n", told)


def test_as_json_a_line_is_an_object_whatever_the_message_holds(capsys: pytest.CaptureFixture[str]) -> None:
    own_log.set_up(Settings(log_format="json", log_level="warning"))
    logging.getLogger("earshot").info("not told")
    try:
        raise ValueError("a reason")
    except ValueError:
        logging.getLogger("earshot").exception('two\nlines and a "quote"')
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert (told["level"], told["logger"]) == ("error", "earshot")
    assert told["message"] == 'two\nlines and a "quote"' and "ValueError: a reason" in told["error"]


def test_another_format_is_refused() -> None:
    with pytest.raises(SettingError, match="EARSHOT_LOG_FORMAT = 'xml'"):
        Settings.from_env({"EARSHOT_LOG_FORMAT": "xml"})
