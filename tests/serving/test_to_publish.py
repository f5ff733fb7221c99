"""Where there are no marts to read, or an earlier Earshot's, everything says the same next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from earshot.cli import app as commands
from serving.api.app import create_app
from serving.publish import SHARED_NAME
from serving.versions import CURRENT, TO_PUBLISH
from tests.serving.api.conftest import settings_of
from tests.serving.api.published import publish_rows

ROOT = Path(__file__).parents[2]


def test_who_finds_no_marts_is_told_how_to_publish_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_DATA", str(tmp_path))
    monkeypatch.setenv("EARSHOT_MARTS_DB", "postgresql://nobody@localhost:1/none")
    with TestClient(create_app(settings_of(tmp_path))) as client:
        assert TO_PUBLISH in client.get("/v1/shows").json()["detail"]
    with pytest.raises(Exception, match="no marts are published") as none:
        CliRunner().invoke(commands, ["marts", "load"], catch_exceptions=False)
    assert TO_PUBLISH in str(none.value)
    publish_rows(tmp_path / "published", {})
    (tmp_path / "published" / CURRENT / SHARED_NAME).unlink()
    with pytest.raises(Exception, match="an earlier Earshot's") as old:
        CliRunner().invoke(commands, ["marts", "load"], catch_exceptions=False)
    assert TO_PUBLISH in str(old.value)


@pytest.mark.parametrize("path", ["docs/bi.md", "deploy/superset/start.py"])
def test_the_bi_tool_which_cannot_import_the_words_has_them_too(path: str) -> None:
    told = " ".join((ROOT / path).read_text("utf-8").replace('"', "").split())
    assert TO_PUBLISH in told
