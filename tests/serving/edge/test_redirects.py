"""Every form of `/e/…` leads to its enclosure byte for byte, under a real nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.made_up import edge as edges
from earshot.made_up.edge import Edge
from tests.serving.edge.asking import ask

M = "media.example.com"
FORMS = {
    # as MEASUREMENT §4 has them
    f"/e/{M}/a/b.mp3": f"https://{M}/a/b.mp3",
    f"/e/https://{M}/a/b.mp3": f"https://{M}/a/b.mp3",
    f"/e/http://{M}/a/b.mp3": f"http://{M}/a/b.mp3",
    f"/e/https%3A%2F%2F{M}/a/b.mp3": f"https://{M}/a/b.mp3",
    f"/e/https%3a%2f%2f{M}/a/b.mp3": f"https://{M}/a/b.mp3",
    f"/e/http%3A%2F%2F{M}%2Fa%2Fb.mp3": f"http://{M}/a/b.mp3",
    # a slash that something on the way has merged
    f"/e/https:/{M}/a/b.mp3": f"https://{M}/a/b.mp3",
    f"/e/HTTPS://{M}/a.mp3": f"https://{M}/a.mp3",
    # path and query stay as they are, whatever they are
    f"/e/{M}/a//b/../c/./d.mp3": f"https://{M}/a//b/../c/./d.mp3",
    f"/e/{M}/..": f"https://{M}/..",
    f"/e/{M}/": f"https://{M}/",
    f"/e/{M}/A%2fb%2F%C3%BC%20c+d.mp3?x=%26&y&&z=?#f": f"https://{M}/A%2fb%2F%C3%BC%20c+d.mp3?x=%26&y&&z=?#f",
    f"/e/{M}/a.mp3?": f"https://{M}/a.mp3?",
    f"/e/{M}/a;b=1,2/(c)!'*$@:~.mp3": f"https://{M}/a;b=1,2/(c)!'*$@:~.mp3",
    f'/e/{M}/"<>\\^`{{|}}.mp3': f'https://{M}/"<>\\^`{{|}}.mp3',
    f"/e/{M}/bücher.mp3": f"https://{M}/bücher.mp3",  # a byte beyond ASCII, raw
    f"/e/{M}/%0d%0aX-Evil:%201": f"https://{M}/%0d%0aX-Evil:%201",  # stays encoded
    f"/e/{M}/$host/$request_uri/$1": f"https://{M}/$host/$request_uri/$1",
    # hosts: in any case, with a port that is registered or goes without saying
    "/e/MEDIA.Example.COM/a.mp3": "https://MEDIA.Example.COM/a.mp3",
    f"/e/https://{M}:443/a.mp3": f"https://{M}:443/a.mp3",
    f"/e/http://{M}:80/a.mp3": f"http://{M}:80/a.mp3",
    "/e/port.example.org:8443/a.mp3": "https://port.example.org:8443/a.mp3",
    "/e/xn--bcher-kva.example/a.mp3": None,  # `example` is a name of letters: registered below
    # percent-encoded as a whole: decoded once
    f"/e/https%3A%2F%2F{M}%2Fa%2520b%2Fc.mp3": f"https://{M}/a%20b/c.mp3",
    f"/e/https%3A%2F%2F{M}%2Fa.mp3%3Fx%3D1%26y%3D%252F": f"https://{M}/a.mp3?x=1&y=%2F",
    f"/e/https%3A%2F%2F{M}%2Fa.mp3%3Fx%3D1?z=2": f"https://{M}/a.mp3?x=1&z=2",
    f"/e/https%3A%2F%2F{M}%2Fa.mp3?z=%20": f"https://{M}/a.mp3?z=%20",
    f"/e/https%3A%2F%2F{M}%2Fa%2F%2Fb.mp3": f"https://{M}/a//b.mp3",
    f"/e/{M}%2Fa%2Fb.mp3": f"https://{M}/a/b.mp3",
    f"/e/https%3A%2F%2F{M}%2Fa/b.mp3": f"https://{M}/a/b.mp3",
    # chains: judged by where they end
    f"/e/op3.dev/e/{M}/a.mp3": f"https://op3.dev/e/{M}/a.mp3",
    f"/e/https://op3.dev/e/https://{M}/a.mp3?x=1": f"https://op3.dev/e/https://{M}/a.mp3?x=1",
    f"/e/dts.podtrac.com/redirect.mp3/{M}/a.mp3": f"https://dts.podtrac.com/redirect.mp3/{M}/a.mp3",
    f"/e/chrt.fm/track/ABC123/pdst.fm/e/op3.dev/e/{M}/a.mp3": (
        f"https://chrt.fm/track/ABC123/pdst.fm/e/op3.dev/e/{M}/a.mp3"
    ),
    f"/e/https%3A%2F%2Fop3.dev%2Fe%2Fhttps%253A%252F%252F{M}%252Fa.mp3": (
        f"https://op3.dev/e/https%3A%2F%2F{M}%2Fa.mp3"
    ),
    f"/e/op3.dev/e/https%3A%2F%2F{M}%2Fa.mp3": f"https://op3.dev/e/https%3A%2F%2F{M}%2Fa.mp3",
    f"/e/pfx.example.net/e/{M}/a.mp3": f"https://pfx.example.net/e/{M}/a.mp3",
    # a prefix's host that is an enclosure's, too
    "/e/media.blubrry.com/show/file.mp3": "https://media.blubrry.com/show/file.mp3",
    f"/e/media.blubrry.com/show/{M}/file.mp3": f"https://media.blubrry.com/show/{M}/file.mp3",
}
FORMS["/e/xn--bcher-kva.example/a.mp3"] = "https://xn--bcher-kva.example/a.mp3"


@pytest.mark.parametrize("target", FORMS)
def test_a_form_leads_to_its_enclosure_byte_for_byte(edge: Edge, target: str) -> None:
    answer = ask(edge.port, target)
    assert (answer.status, answer.location) == (302, FORMS[target])


def test_what_a_redirect_says_besides(edge: Edge) -> None:
    for method in ("GET", "HEAD"):
        answer = ask(edge.port, f"/e/{M}/a.mp3", method)
        assert answer.status == 302
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "allow" not in answer.headers
        assert answer.headers["server"] == "nginx"
    assert answer.body == b""


def test_the_prefix_answers_on_ipv6(edge: Edge) -> None:
    assert ask(edge.port, f"/e/{M}/a.mp3", address="::1").location == f"https://{M}/a.mp3"


def test_a_client_may_name_the_prefix_in_the_request_line(edge: Edge) -> None:
    answer = ask(edge.port, f"http://pfx.example.net/e/{M}/a//b.mp3?x")
    assert (answer.status, answer.location) == (302, f"https://{M}/a//b.mp3?x")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get"])
def test_other_methods_are_refused(edge: Edge, method: str) -> None:
    answer = ask(edge.port, f"/e/{M}/a.mp3", method, headers=("Content-Length: 0",))
    assert answer.location is None
    if method == "get":  # methods are written large: nginx does not read it at all
        assert answer.status == 400
    else:
        assert (answer.status, answer.headers["allow"], answer.body) == (
            405,
            "GET, HEAD",
            b"only GET and HEAD\n",
        )


def test_health_and_robots(edge: Edge) -> None:
    assert (ask(edge.port, "/health").status, ask(edge.port, "/health").body) == (200, b"ok\n")
    assert ask(edge.port, "/robots.txt").body == b"User-agent: *\nDisallow: /\n"
    assert ask(edge.port, "/health?x=1").status == 200
    # By the raw target, not by what it would be when tidied up.
    assert ask(edge.port, "/x/../health").status == 404
    assert ask(edge.port, f"/e/{M}/../../health").location == f"https://{M}/../../health"


@pytest.mark.parametrize(
    "target", ["/", "/e/", "/e", "/E/media.example.com/a.mp3", "/favicon.ico", "/e/unknown.example.com/a.mp3"]
)
def test_what_leads_nowhere_says_what_to_do(edge: Edge, target: str) -> None:
    answer = ask(edge.port, target)
    assert answer.status == 404
    assert answer.location is None
    assert answer.headers["content-type"] == "text/plain"
    assert b"registered" in answer.body and b"register its feed" in answer.body


def test_a_flood_from_one_address_is_slowed_and_others_are_not(tmp_path: Path, edge: Edge) -> None:
    platform = edge.settings.platform.model_copy(update={"data": tmp_path})
    with edges.running(platform, M, rate=1, burst=3, trusted_proxies="127.0.0.0/8") as limited:

        def asked(address: str) -> list[int]:
            headers = (f"X-Forwarded-For: {address}",)
            return [ask(limited.port, f"/e/{M}/a.mp3", headers=headers).status for _ in range(6)]

        assert asked("198.51.100.7") == [302] * 4 + [429] * 2
        assert asked("198.51.100.8") == [302] * 4 + [429] * 2
        # An IPv6 network of one household has 2^64 addresses: they share their limit.
        assert asked("2001:db8:0:1::7") == [302] * 4 + [429] * 2
        assert asked("2001:db8:0:1:a:b:c:d") == [429] * 6
        assert asked("2001:db8:0:2::7") == [302] * 4 + [429] * 2
        slowed = ask(limited.port, f"/e/{M}/a.mp3", headers=("X-Forwarded-For: 198.51.100.7",))
        assert (slowed.status, slowed.headers["retry-after"]) == (429, "1")
