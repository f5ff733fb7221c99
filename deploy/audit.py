"""`make audit`: known vulnerabilities of all locked dependencies; says plainly when it could not ask.

A mirror of a package index may answer without any advisories: `pip-audit` then ends with 0, all looks well.
So each service is first asked about a version whose vulnerabilities have been known for years: what does not
know those is not believed.
Exit codes: 0 none known, 1 some are (each is named with the version that mends it), 3 nobody could be asked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (ROOT / "requirements.lock", ROOT / "deploy" / "superset" / "requirements.txt")
NONE, SOME, NOT_ASKED = 0, 1, 3
SERVICES = ("osv", "pypi")  # where one is not reached, the other may be
KNOWN_BAD = "jinja2==2.10"  # CVE-2019-10906 and others
TOOL = (sys.executable, "-m", "pip_audit")


def audited(file: Path, service: str, tool: Sequence[str]) -> tuple[int, str]:
    """What `pip-audit` found in one file of pinned versions, and what it said. Installs nothing."""
    named = ["--requirement", str(file), "--no-deps", "--disable-pip", "--strict"]
    how = ["--vulnerability-service", service, "--progress-spinner", "off", "--timeout", "20"]
    done = subprocess.run([*tool, *named, *how], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode == 0:
        return NONE, said
    # It ends with 1 for both; only what it found is told as a table.
    if "Fix Versions" in done.stdout:
        return SOME, said
    return NOT_ASKED, said.splitlines()[-1][:200] if said else f"ended with {done.returncode}"


def believed(tool: Sequence[str]) -> tuple[str | None, str]:
    """A service that knows what has long been known, and why the others are not believed."""
    reasons = []
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder) / "known-bad.txt"
        bad.write_text(KNOWN_BAD + "\n")
        for service in SERVICES:
            found, said = audited(bad, service, tool)
            if found == SOME:
                return service, ""
            why = f"it does not know what is wrong with {KNOWN_BAD}" if found == NONE else said
            reasons.append(f"{service}: {why}")
    return None, "; ".join(reasons)


def main(tool: Sequence[str] = TOOL) -> int:
    """Audit the lock files; the exit code."""
    service, why = believed(tool)
    if service is None:
        print(f"NOT AUDITED: no list of advisories answers here ({why})", file=sys.stderr)
        return NOT_ASKED
    results = []
    for lock in LOCKS:
        found, said = audited(lock, service, tool)
        told = {NONE: "no known vulnerability", NOT_ASKED: f"NOT AUDITED: {said}"}.get(found, said)
        print(f"{lock.relative_to(ROOT)} ({service}): {told}")
        results.append(found)
    return SOME if SOME in results else max(results)


if __name__ == "__main__":
    sys.exit(main())
