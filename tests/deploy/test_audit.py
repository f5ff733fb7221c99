"""The audit of dependencies: what it says where nobody, or somebody who knows nothing, answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.audit import NONE, NOT_ASKED, SOME, main

TABLE = "Name Version ID Fix Versions\\njinja2 2.10 PYSEC-2019-217 2.10.1"


def tool(folder: Path, bad: str, locks: str) -> tuple[str, str]:
    """A stand-in for `pip-audit` at the end of a wire: `bad`, `locks` are what it does when asked of them."""
    program = folder / "tool.py"
    program.write_text(
        f"import sys\nnamed = sys.argv[sys.argv.index('--requirement') + 1]\n"
        f"if 'known-bad' in named:\n    {bad}\nelse:\n    {locks}\n"
    )
    return sys.executable, str(program)


FINDS = f"print('{TABLE}'); sys.exit(1)"
FINDS_NOTHING = "sys.exit(0)"
UNREACHED = "sys.exit('ConnectionError: no route to host')"


@pytest.mark.parametrize(
    ("bad", "locks", "code", "words"),
    [
        (FINDS, FINDS_NOTHING, NONE, "requirements.lock (osv): no known vulnerability"),
        (FINDS, FINDS, SOME, "PYSEC-2019-217"),
        (FINDS, UNREACHED, NOT_ASKED, "NOT AUDITED: ConnectionError"),
        (UNREACHED, FINDS_NOTHING, NOT_ASKED, "no list of advisories answers here (osv: ConnectionError"),
        (FINDS_NOTHING, FINDS_NOTHING, NOT_ASKED, "it does not know what is wrong with jinja2==2.10"),
    ],
)
def test_what_could_not_be_audited_is_never_called_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str, locks: str, code: int, words: str
) -> None:
    assert main(tool(tmp_path, bad, locks)) == code
    told = capsys.readouterr()
    assert words in told.out + told.err
    assert (code == NOT_ASKED) == ("NOT AUDITED" in told.out + told.err)
