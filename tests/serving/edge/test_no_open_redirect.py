# ruff: noqa: E501  a table of attempts, one kind a block
"""Nobody is sent to a host that is not registered, whatever is asked: generated attempts, under a real nginx.

The judge is not the grammar that is tested: it is a browser's reading of the answer's Location, and for chains
intake's own reading of them.
"""

from __future__ import annotations

import itertools
import random
import re
from urllib.parse import quote

from earshot.made_up.edge import Edge
from tests.serving.edge.asking import Answer, ask
from tests.serving.edge.conftest import HOSTS

GOOD, EVIL = "media.example.com", "evil.example.net"
ATTEMPTS = 200


def attempts() -> list[str]:
    """By kind: who would be believed if the host were looked for carelessly."""
    userinfo = [
        f"{GOOD}@{EVIL}", f"{GOOD}:x@{EVIL}", f"{GOOD}%40{EVIL}", f"user@{EVIL}", f"{GOOD}:443@{EVIL}",
        f"{GOOD}#@{EVIL}", f"{GOOD}?@{EVIL}", f"{GOOD}\\@{EVIL}", f"{GOOD}%5C@{EVIL}", f"{GOOD};@{EVIL}",
        f"{EVIL}@{GOOD}@{EVIL}", f"@{EVIL}", f"{GOOD}%00@{EVIL}", f"{GOOD},{EVIL}",
    ]  # fmt: skip
    suffixes = [
        f"{GOOD}.{EVIL}", f"x{GOOD}", f"evil-{GOOD}", f"{GOOD}evil", f"{GOOD}.", f"{GOOD}..", f"{GOOD}x",
        f"sub.{GOOD}", f".{GOOD}", "example.com", f"{GOOD}%2E{EVIL}", f"{GOOD}-{EVIL}", f"{GOOD}_{EVIL}",
        f"{GOOD}%E3%80%82{EVIL}", f"{GOOD}。{EVIL}".encode().decode("latin-1"), "mediaXexample.com",
        "ｍedia.example.com".encode().decode("latin-1"), "\u0430.example.com".encode().decode("latin-1"),
        "xn--mdia-d4a.example.com", f"{GOOD}%20{EVIL}", f"{GOOD}%09{EVIL}", f"{GOOD}%0d%0a{EVIL}",
        "127.0.0.1", "[::1]", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]", "",
        "$edge_host", "hostnames", "default", "*", "~.", "include",
    ]  # fmt: skip
    ports = [f"{GOOD}:22", f"{GOOD}:8443", f"{GOOD}:", f"{GOOD}:0443", f"{GOOD}:443:22", f"{GOOD}:99999999",
             f"{GOOD}:443{EVIL}", f"{GOOD}%3A22", "port.example.org:8444", f"{GOOD}:80.{EVIL}"]  # fmt: skip
    before = ["", "https://", "http://", "https%3A%2F%2F", "https:/", "HTTPS://", "//", "///", "/", "\\\\", "/\\",
              "https:", "https:///", "https:\\\\", "ftp://", "javascript:", "javascript://", "data:,", "%2F%2F",
              "%5C%5C", "https%3A//", "https:%2F%2F", "https%253A%252F%252F", "//https://", "%09//", "./", "../",
              "..%2F", "https://https://", f"https://{EVIL}/https://", f"{EVIL}/"]  # fmt: skip
    crlf = [
        f"{GOOD}%0d%0aLocation:%20https://{EVIL}/", f"{EVIL}%0d%0aHost:%20{GOOD}/", f"%0d%0aLocation:https://{EVIL}/",
        f"https%3A%2F%2F{GOOD}%2F%0d%0aSet-Cookie:x=1", f"https%3A%2F%2F{GOOD}%2F%0D%0ALocation:%2F%2F{EVIL}",
        f"https%3A%2F%2F{GOOD}%2F%E5%98%8D%E5%98%8ASet-Cookie:x=1", f"https%3A%2F%2F{GOOD}%2F%20%0a", f"{GOOD}%2F%0d%0aX:1",
        f"https%3A%2F%2F{GOOD}%2F%00", f"https%3A%2F%2F{GOOD}%2F%7F", f"https%3A%2F%2F{GOOD}%2Fa/%0d%0aX:1",
    ]  # fmt: skip
    chains = [
        f"op3.dev/e/{EVIL}/x", f"op3.dev/e/{EVIL}/{GOOD}/x", f"op3.dev/{GOOD}/x", f"op3.dev/E/{EVIL}/e/{GOOD}/x",
        f"dts.podtrac.com/redirect.mp3/{EVIL}/{GOOD}/x.mp3", f"dts.podtrac.com/{EVIL}/x", f"{EVIL}/e/{GOOD}/x",
        f"op3.dev.{EVIL}/e/{GOOD}/x", f"xop3.dev/e/{GOOD}/x", f"op3.dev/e/https://{EVIL}/https://{GOOD}/x",
        f"op3.dev/e/https%3A%2F%2F{EVIL}%2F{GOOD}/x", f"op3.dev/e/%2F%2F{EVIL}/x", f"op3.dev/e/{EVIL}%2F{GOOD}/x",
        f"pfx.example.net/e/{EVIL}/x", f"op3.dev/e/pfx.example.net/e/{EVIL}/{GOOD}/", f"op3.dev@{EVIL}/e/{GOOD}/x",
        f"op3.dev:444/e/{GOOD}/x", f"op3.dev/e/user@{EVIL}/x", f"op3.dev/e/?{GOOD}/x", f"op3.dev/e/#/{GOOD}/x",
        f"op3.dev%2Fe%2F{EVIL}%2F{GOOD}%2Fx", f"op3.dev/e/https%253A%252F%252F{EVIL}%252F{GOOD}%252Fx",
        "op3.dev/e/", "op3.dev", f"media.blubrry.com/x/{EVIL}/{GOOD}/y", f"chrt.fm/track/1/op3.dev/e/{EVIL}/",
    ]  # fmt: skip
    # These do redirect, and must lead to the registered host.
    paths = [
        f"{GOOD}{rest}{EVIL}/"
        for rest in ("/", "//", "/@", "/\\", "/..//", "/%2F%2F", "/?@", "/#@", "/.", "/:")
    ]
    tried = [f"/e/{host}/x.mp3" for host in (*userinfo, *suffixes, *ports)]
    tried += [f"/e/{start}{EVIL}/x.mp3" for start in before]
    tried += [f"/e/{start}{GOOD}@{EVIL}/{GOOD}" for start in before]
    tried += [f"/e/https%3A%2F%2F{host}%2Fx.mp3" for host in (*userinfo, *suffixes, *ports)]
    tried += [f"/e/{text}" for text in (*crlf, *chains, *paths)]
    tried += [f"/e/{start}{text}" for start in before[1:6] for text in paths]
    tried += [
        f"{start}{EVIL}/x" for start in ("/", "//", "/e//", "/\\", "https://", "/e/../", "/%65/", "/e%2F")
    ]
    # … and what no list has: pieces put together at random, always the same.
    rng, pieces = (
        random.Random(9),
        [*before, *userinfo, GOOD, EVIL, "/", "%2F", "?", "#", ":443", ".", "\\", "/e/"],
    )
    tried += ["/e/" + "".join(rng.choices(pieces, k=rng.randint(2, 6))) for _ in range(ATTEMPTS)]
    return [target.replace(" ", "%20") for target in dict.fromkeys(tried)]


def test_no_attempt_leads_to_a_host_that_is_not_registered(edge: Edge) -> None:
    tried, redirected = attempts(), 0
    assert len(tried) > ATTEMPTS * 2
    for target in tried:
        answer = ask(edge.port, target)
        assert answer.status in (302, 400, 404), target
        assert set(answer.headers) <= _HEADERS, f"{target}: {answer.headers}"
        if answer.status == 302:
            redirected += 1
            assert _first_host(answer) in {*HOSTS, "op3.dev", "dts.podtrac.com", "pfx.example.net"}, target
            assert _end(edge, answer) in HOSTS, f"{target} → {answer.location}"
        else:
            assert answer.location is None
    assert redirected > 50  # the judge has had work


_HEADERS = {
    "server", "date", "content-type", "content-length", "connection", "location", "cache-control",
    "access-control-allow-origin",
}  # fmt: skip


def _first_host(answer: Answer) -> str:
    """Where a browser would go: it takes \\ for /, drops tabs and line breaks, and believes what follows @."""
    location = re.sub(r"[\t\r\n]", "", (answer.location or "").strip()).replace("\\", "/")
    scheme, _, rest = location.partition(":")
    assert scheme in ("http", "https"), location
    address = re.split(r"[/?#]", rest.lstrip("/"), maxsplit=1)[0].rpartition("@")[2]
    return re.sub(r":(?:80|443)$", "", address.lower())


def _end(edge: Edge, answer: Answer) -> str:
    """The host at the end of its chain, as intake reads it."""
    url = (answer.location or "").partition("//")[2]
    path, _, _ = url.partition("?")
    end = edge.prefixes.unwind(path.partition("#")[0]) or url
    return re.sub(r":(?:80|443)$", "", re.split(r"[/?#]", end, maxsplit=1)[0].lower())


def test_a_chain_ends_at_what_another_prefix_may_take_for_the_host(edge: Edge) -> None:
    """op3.dev would send a listener on to 1.2.3.4, whatever stands behind it: so nobody is sent there."""
    hops = [
        "1.2.3.4", "[::1]", "evil.example.", "evil.mov", f"u@{EVIL}", f"{EVIL}\\", "%65vil.example", "https://1.2.3.4",
        f"{EVIL}:443", f"{EVIL}%2F", f"{EVIL}%00", "16909060", "0x01020304", f"{EVIL};", f"%2F{EVIL}", f"https:{EVIL}",
        f"//{EVIL}", "evil..example", "-.evil.example", "redirect.mov", "https%3A%2F%2F1.2.3.4", f"ftp://{EVIL}", "a/1.2.3.4",
    ]  # fmt: skip
    for prefix in (
        "op3.dev/e",
        "op3.dev/e,pg=1-a",
        "dts.podtrac.com/redirect.mp3",
        "chrt.fm/track/12",
        "gum.fm/a/b",
    ):
        assert ask(edge.port, f"/e/{prefix}/{GOOD}/x.mp3").status == 302, prefix
        for hop in hops:
            target = f"{prefix}/{hop}/{GOOD}/x.mp3"
            assert ask(edge.port, f"/e/{target}").status in (400, 404), target
            assert (edge.prefixes.unwind(target) or "").partition("/")[0] != GOOD, target


def test_the_prefix_ends_chains_where_intake_ends_them(edge: Edge) -> None:
    links = [
        "op3.dev/e",
        "dts.podtrac.com/redirect.mp3",
        "chrt.fm/track/ABC",
        "pfx.example.net/e",
        "mgln.ai/e/12",
        "gum.fm",
    ]
    ends = [GOOD, "cdn.example.org", "port.example.org:8443", EVIL, "file.mp3", "x.ogg"]
    schemes = ["", "https://", "http://", "https:/"]
    rng = random.Random(4)
    for depth, end in itertools.product(range(1, 5), ends):
        for _ in range(6):
            parts = [rng.choice(schemes) + rng.choice(links) for _ in range(depth)]
            inner = f"{rng.choice(schemes)}{end}/show/{rng.choice(['a.mp3', 'b.example.com/c.mp3'])}"
            if rng.random() < 0.3:  # the last one within the chain, percent-encoded
                inner = quote(inner, safe="")
            target = "/e/" + "/".join([*parts, inner])
            expected = edge.prefixes.unwind("pfx.example.net" + target)
            host = re.split(r"[/?#%]", expected or "", maxsplit=1)[0]
            answer = ask(edge.port, target)
            assert (answer.status == 302) == (host in HOSTS), f"{target}: intake ends at {expected}"
            if answer.status == 302:
                assert _end(edge, answer) == host, target
