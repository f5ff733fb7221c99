"""Reference lists from a real server: what is fetched, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.logs.rules import Rules
from ingest.reference.fetch import Known, Refused, get
from ingest.reference.refresh import Outcome
from ingest.reference.store import ListStore
from ingest.settings import Settings
from tests.ingest.list_server import Agents, ListServer, look, put_agents, settings_for
from tests.ingest.samples import NOW_US

DAY_US = 86_400_000_000


# --- what is fetched


def test_a_list_that_has_not_changed_is_not_sent_again(of_agents: Settings, server: ListServer) -> None:
    server.asked.clear()
    server.answered.clear()
    found = look(of_agents, "agents", NOW_US + DAY_US)
    assert (found.outcome, set(server.answered), len(server.asked)) == (Outcome.UNCHANGED, {304}, 6)
    assert (found.fetched_us, found.confirmed_us) == (NOW_US, NOW_US + DAY_US)
    assert all(headers["User-Agent"].startswith("Earshot/") for _, headers in server.asked)


@pytest.mark.parametrize("tag", ['W/"weak, with a comma"', "without quotes", '"\xe9\xff"'])
def test_a_tag_is_sent_back_byte_for_byte(tmp_path: Path, server: ListServer, tag: str) -> None:
    server.put("/dc.txt", "198.51.100.0/24\n", etag=tag)
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    look(settings, "datacenters")
    assert look(settings, "datacenters").outcome is Outcome.UNCHANGED
    assert server.answered == [200, 304]


def test_last_modified_does_where_there_is_no_tag(tmp_path: Path, server: ListServer) -> None:
    stamp = "Tue, 29 Sep 2026 12:00:00 GMT"
    server.put("/dc.txt", "198.51.100.0/24\n", headers={"Last-Modified": stamp})
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    look(settings, "datacenters")
    look(settings, "datacenters")
    assert server.asked[1][1]["If-Modified-Since"] == stamp


def test_of_a_set_only_what_changed_is_sent_and_the_set_stays_one_version(
    of_agents: Settings, server: ListServer, agents: Agents
) -> None:
    before = look(of_agents, "agents").version
    agents["apps"].append({"name": "Newcomer", "pattern": "^Newcomer/", "examples": ["Newcomer/1"]})
    put_agents(server, agents)
    server.answered.clear()
    found = look(of_agents, "agents")
    assert sorted(server.answered) == [200, 304, 304, 304, 304, 304]
    assert found.outcome is Outcome.UPDATED and found.version != before
    apps = [entry.name for entry in Rules.load(of_agents).agents.lists["apps"]]
    assert apps[-1] == "Newcomer" and "Overcast" in apps


def test_a_set_with_a_missing_file_changes_nothing(of_agents: Settings, server: ListServer) -> None:
    before = Rules.load(of_agents).version
    server.put("/src/apps.json", json.dumps({"entries": [{"name": "A", "pattern": "a"}]}))
    del server.pages["/src/devices.json"]
    found = look(of_agents, "agents")
    assert found.outcome is Outcome.REFUSED
    assert "404" in str(found.reason) and "is the address still right?" in str(found.reason)
    assert Rules.load(of_agents).version == before


@pytest.mark.parametrize(
    ("page", "outcome", "reason"),
    [
        ({"status": 503}, Outcome.UNREACHABLE, "answers 503"),
        ({"status": 429}, Outcome.UNREACHABLE, "answers 429"),
        ({"status": 410}, Outcome.REFUSED, "answers 410"),
        ({"claimed_length": 10_000}, Outcome.UNREACHABLE, "closed"),
        ({"headers": {"Content-Encoding": "gzip"}}, Outcome.REFUSED, "compressed"),
        ({"status": 302, "headers": {"Location": "ftp://x.test/a"}}, Outcome.REFUSED, "only https"),
        ({"status": 302, "headers": {"Location": "http://x.test/a"}}, Outcome.REFUSED, "only https"),
        ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, Outcome.REFUSED, "only https"),
        ({"status": 302, "headers": {"Location": "/dc.txt"}}, Outcome.REFUSED, "more than 5 redirects"),
    ],
)
def test_a_server_in_trouble_leaves_the_last_good_list_in_use(
    tmp_path: Path, server: ListServer, page: dict[str, Any], outcome: Outcome, reason: str
) -> None:
    server.put("/dc.txt", "198.51.100.0/24\n")
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    good = look(settings, "datacenters").version
    server.put("/dc.txt", "203.0.113.0/24\n", **page)
    found = look(settings, "datacenters", NOW_US + DAY_US)
    assert (found.outcome, found.version, found.confirmed_us) == (outcome, good, NOW_US)
    assert reason in str(found.reason)


def test_a_redirect_is_followed_to_where_it_may_lead(tmp_path: Path, server: ListServer) -> None:
    server.put("/dc.txt", "", status=301, headers={"Location": "/moved.txt"})
    server.put("/moved.txt", "198.51.100.0/24\n")
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    assert look(settings, "datacenters").outcome is Outcome.UPDATED


def test_a_body_without_end_is_cut_off(
    tmp_path: Path, server: ListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.reference.fetch.MAX_FILE_BYTES", 100_000)
    server.put("/dc.txt", b"198.51.100.0/24\n" * 10_000)
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    found = look(settings, "datacenters")
    assert found.outcome is Outcome.REFUSED and "more than 100,000 bytes" in str(found.reason)


def test_a_server_that_never_ends_is_left(
    tmp_path: Path, server: ListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.reference.fetch.WHOLE_S", -1)
    server.put("/dc.txt", "198.51.100.0/24\n")
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/dc.txt"\n')
    found = look(settings, "datacenters")
    assert found.outcome is Outcome.UNREACHABLE and "needs more than -1 s" in str(found.reason)


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("http://127.0.0.1:9/admin", "this machine"),
        ("https://169.254.169.254/latest/meta-data/", "link-local"),
        ("https://10.0.0.1/", "private"),
        ("https://[::ffff:192.168.0.1]/", "private"),
        ("https://[fd00::1]/", "private"),
        ("https://2130706433/", "loopback"),
        ("https://0x7f.1/", "loopback"),
    ],
)
def test_a_public_server_cannot_send_us_to_this_machine_or_its_network(location: str, what: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": location})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as http,
        pytest.raises(Refused, match=f"redirect from lists.test to .*{what}"),
    ):
        get("https://lists.test/x", Known(), http)


def test_without_a_network_nothing_fails_and_our_own_lists_are_in_use(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, '[agents]\nurl = "http://127.0.0.1:9/src/"\n')
    found = look(settings, "agents")
    assert (found.outcome, found.version) == (Outcome.UNREACHABLE, None)
    assert found.is_stale(NOW_US)
    assert Rules.load(settings).described()["origin"][0] == "built in"


# --- what is refused, by name


def spoil(agents: Agents, what: str) -> bytes | None:
    """The set with one fault; returns a body for apps.json where that is no list."""
    apps = agents["apps"]
    overcast = next(entry for entry in apps if entry["name"] == "Overcast")
    match what:
        case "a page":
            return b"<!DOCTYPE html><html><title>Sign in</title></html>"
        case "no JSON":
            return b'{"entries": [{"name": "A"'
        case "empty":
            return b""
        case "no entries":
            apps.clear()
        case "no object":
            return b'["Overcast"]'
        case "bytes":
            return b"\xff\xfe\x00"
        case "invalid pattern":
            overcast["pattern"] = "^Overcast/("
        case "no pattern":
            del overcast["pattern"]
        case "catastrophic pattern":
            overcast["pattern"] = "^Overcast/|^(a+)+$"
        case "catastrophic for Python":
            overcast["pattern"] = "^Overcast/|(?<!x)(a|a)*b"
        case "matches everything":
            overcast["pattern"] = "^Overcast/|.*"
        case "app as bot":
            agents["bots"].insert(0, {"name": "Greedy", "pattern": "^Overcast"})
        case "well-known app as bot":
            agents["bots"].append({"name": "Player's crawler", "pattern": "AntennaPod"})
            apps[:] = [entry for entry in apps if entry["name"] != "AntennaPod"]
        case "wrong example":
            overcast["examples"] = ["Castro 2026/1"]
        case "shrunk":
            del apps[len(apps) // 2 :]
    return None


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a page", "apps.json is a web page"),
        ("no JSON", "apps.json is not JSON"),
        ("empty", "apps.json is empty"),
        ("no entries", "apps: there are no entries"),
        ("no object", "wanted is an object with 'entries'"),
        ("bytes", "apps.json is not UTF-8"),
        ("invalid pattern", "apps: the pattern of 'Overcast' is no regular expression"),
        ("no pattern", "apps: entry 'Overcast' has no pattern"),
        ("catastrophic pattern", "apps: the pattern of 'Overcast' is catastrophic"),
        ("catastrophic for Python", "apps: the pattern of 'Overcast' is catastrophic"),
        ("matches everything", "apps: the pattern of 'Overcast' matches everything"),
        ("app as bot", "the app 'Overcast' is classified as a bot (as 'Greedy')"),
        ("well-known app as bot", "the app 'AntennaPod' is classified as a bot"),
        ("wrong example", "apps: an example of 'Overcast' is classified as app 'Castro'"),
        ("shrunk", "apps shrinks from 77 to 38 entries"),
    ],
)
def test_a_list_with_a_fault_is_refused_naming_it_and_the_last_good_one_stays(
    of_agents: Settings, server: ListServer, agents: Agents, what: str, told: str
) -> None:
    before = Rules.load(of_agents).version
    body = spoil(agents, what)
    put_agents(server, agents)
    if body is not None:
        server.put("/src/apps.json", body)
    found = look(of_agents, "agents")
    assert found.outcome is Outcome.REFUSED
    assert told in str(found.reason)
    assert Rules.load(of_agents).version == before
    # What was refused is asked for and refused again, not mistaken for known.
    assert look(of_agents, "agents").outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("what", "is_taken"), [("shrunk", True), ("wrong example", True), ("app as bot", False)]
)
def test_only_what_may_be_meant_can_be_accepted(
    of_agents: Settings, server: ListServer, agents: Agents, what: str, is_taken: bool
) -> None:
    spoil(agents, what)
    put_agents(server, agents)
    found = look(of_agents, "agents", accepted=["agents"])
    assert (found.outcome is Outcome.UPDATED) == is_taken
    if is_taken:
        store = ListStore.of(of_agents)
        assert store.origin("agents", str(found.version)).doubts


def test_the_first_list_must_not_be_much_smaller_than_our_own(
    tmp_path: Path, server: ListServer, agents: Agents
) -> None:
    spoil(agents, "shrunk")
    put_agents(server, agents)
    settings = settings_for(tmp_path, f'[agents]\nurl = "{server.url}/src/"\n')
    assert "apps shrinks from 77 to 38" in str(look(settings, "agents").reason)


@pytest.mark.parametrize(
    ("prefixes", "told"),
    [
        ([], "there are no prefixes"),
        ([{"prefixname": "X"}], "entry 1 has no prefixpattern"),
        ([{"prefixpattern": "com"}], "entry 1: prefixpattern 'com' does not begin with a host"),
        ({"prefixpattern": "a.test"}, "there are no prefixes"),
    ],
)
def test_prefixes_that_could_unwind_anything_are_refused(
    tmp_path: Path, server: ListServer, prefixes: object, told: str
) -> None:
    server.put("/prefixes.json", json.dumps(prefixes))
    settings = settings_for(tmp_path, f'[prefixes]\nurl = "{server.url}/prefixes.json"\n')
    assert told in str(look(settings, "prefixes").reason)


# --- data centres, in the shapes in which they are published

SHAPES = {
    "plain": "# ours\n198.51.100.0/24  # a comment\n\n2001:db8:1::/48\n",
    "aws": json.dumps(
        {
            "syncToken": "1",
            "prefixes": [{"ip_prefix": "198.51.100.0/24", "service": "EC2"}],
            "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:1::/48", "service": "EC2"}],
        }
    ),
    "google": json.dumps(
        {"prefixes": [{"ipv4Prefix": "198.51.100.0/24"}, {"ipv6Prefix": "2001:db8:1::/48"}]}
    ),
    "azure": json.dumps(
        {"values": [{"properties": {"addressPrefixes": ["198.51.100.0/24", "2001:db8:1::/48"]}}]}
    ),
    "oracle": json.dumps(
        {"regions": [{"cidrs": [{"cidr": "198.51.100.0/24"}, {"cidr": "2001:db8:1::/48"}]}]}
    ),
    "array": '["198.51.100.0/24", "2001:db8:1::/48"]',
    "csv": "cidr,country\n198.51.100.0/24,DE\n2001:db8:1::/48,DE\n",
    "spans": "198.51.100.0,198.51.100.255,Example,https://x.test\n2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_r10_data_centres_are_read_in_every_shape_providers_use(
    tmp_path: Path, server: ListServer, shape: str
) -> None:
    server.put("/list", SHAPES[shape])
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/list"\n')
    assert look(settings, "datacenters").entries == 2
    ranges = Rules.load(settings).datacenters
    assert ranges.ipv4.rows() == [(0xC6336400, 0xC63364FF)]
    assert ranges.ipv6.rows() == [(0x20010DB800010000, 0x20010DB80001FFFF)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("0.0.0.0/0\n", "line 1: '0.0.0.0/0' is wider than a /8: surely a slip"),
        ("198.51.100.0/24\n::/0\n", "line 2: '::/0' is wider than a /16"),
        ("::ffff:0:0/96\n", "wider than a /8"),
        ("198.51.100.0/24\nelsewhere\n", "line 2: no address range: 'elsewhere'"),
        ("198.51.100.9,198.51.100.1\n", "line 1: no address range: 198.51.100.9 to 198.51.100.1"),
        ('{"prefixes": [{"ip_prefix": "x"}]}', "entry 1: no address range: 'x'"),
        ('{"prefixes": [{"ip_prefix": 7}]}', "entry 1: no address range: 7"),
        ('{"error": "quota"}', "no address range in this JSON"),
        ("<html></html>", "a web page"),
        ("[" * 100_000, "not JSON"),
        ("# nothing\n", "there are no entries"),
        ("", "is empty"),
    ],
)
def test_a_list_of_data_centres_with_a_fault_is_refused(
    tmp_path: Path, server: ListServer, body: str, told: str
) -> None:
    server.put("/list", body)
    settings = settings_for(tmp_path, f'[datacenters]\nurl = "{server.url}/list"\n')
    found = look(settings, "datacenters")
    assert found.outcome is Outcome.REFUSED and told in str(found.reason)


def test_each_provider_is_held_against_its_own_past(tmp_path: Path, server: ListServer) -> None:
    server.put("/big", "".join(f"198.51.{n}.0/24\n" for n in range(200)))
    server.put("/small", "203.0.112.0/24\n203.0.113.0/24\n")
    settings = settings_for(tmp_path, f'[datacenters]\nurls = ["{server.url}/big", "{server.url}/small"]\n')
    look(settings, "datacenters")
    server.put("/small", "203.0.113.0/24\n")
    assert "small shrinks from 2 to 1 entries" in str(look(settings, "datacenters").reason)
