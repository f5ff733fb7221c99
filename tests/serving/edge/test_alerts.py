"""The prefix in alerts, over a real nginx: found when it dies or its log stays, and no false alarm."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from earshot.made_up import edge as edges
from ingest.settings import Settings
from serving.alerts.alert import Kind, Severity
from serving.alerts.looks import LOOKS
from serving.edge.check import LATE_S, is_of_ports_alone
from serving.edge.server import nginx
from serving.edge.settings import EdgeSettings

pytestmark = pytest.mark.skipif(not edges.is_there(), reason="nginx is not installed (nginx-light)")


def test_an_nginx_that_dies_and_a_log_that_stays_are_found_and_nothing_where_all_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Settings(data=tmp_path, prefix_hosts="pfx.example.net", settle_s=0)
    (tmp_path / "sources.toml").write_text('[edge]\nformat = "prefix"\n')

    def found() -> dict[str, Severity]:
        alerts = LOOKS["prefix"].alerts(platform, 0)
        assert all(alert.kind is Kind.PREFIX and alert.do for alert in alerts)
        return {alert.subject: alert.severity for alert in alerts}

    assert found() == {}, "none was set up"
    with edges.running(platform, "media.example.com") as running:
        monkeypatch.setenv("EARSHOT_EDGE_LISTEN", f"127.0.0.1:{running.port}")
        monkeypatch.setenv("EARSHOT_EDGE_HOSTS", "media.example.com")
        assert found() == {}
        late = time.time() - LATE_S - 60
        log = running.settings.log
        log.write_text(f'{{"ts":"{late:.3f}"}}\n')
        assert found() == {"log": Severity.CRITICAL}
        log.write_text("")
        edges.stop(running.process)
        assert found() == {"running": Severity.CRITICAL}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as somebody else")
def test_who_may_not_open_low_ports_gets_no_false_alarm_of_the_configuration() -> None:
    # pytest's own folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="earshot-low-ports-"))
    folder.chmod(0o777)
    conf = folder / "nginx.conf"

    def tried(content: str) -> str:
        conf.write_text(f"pid {folder}/pid;\nevents {{}}\n{content}\n")
        program = nginx(EdgeSettings())
        command = [program, "-t", "-q", "-e", "stderr", "-c", str(conf)]
        done = subprocess.run(command, capture_output=True, text=True, user=65534, group=65534)
        assert done.returncode != 0
        return done.stderr.strip()

    temp = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    low = f"http {{ {temp} access_log off; server {{ listen 127.0.0.1:81; }} }}"
    try:
        assert is_of_ports_alone(tried(low)), tried(low)
        assert not is_of_ports_alone(tried(low.replace("access_log off", "nonsense on")))
    finally:
        shutil.rmtree(folder)
