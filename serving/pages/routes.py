"""Which address shows what, and to whom. What the API refuses is refused here, in words instead of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Form, Path, Query
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ingest.schema import SourceClass
from ingest.settings import Window
from registry.api_keys import Scope
from registry.show_access import Subject
from serving.api import sessions
from serving.api.access import Shows, Standing
from serving.api.authentication import Authentication, is_new_key
from serving.api.problems import Problem, unexpected
from serving.api.reporting.asked import sees_costs
from serving.api.reporting.quality import stated
from serving.api.routing import Router
from serving.api.visit import KEY, Ask, Visit
from serving.pages import looks, render, texts
from serving.pages.view import collaboration, episode, episodes, overview, podcast
from serving.pages.view import show as show_page
from serving.pages.view.sight import SPAN
from serving.reports.collaborations import explanation

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
FOR_EVER = "public, max-age=31536000, immutable"
SESSION_S = 30 * 86_400
_LAST_CHANGE = 2**62

Days = Annotated[int, Query(ge=1, le=731)]
Number = Annotated[int, Query(ge=1, le=10_000)]
Words = Annotated[str, Query(max_length=100)]
Key64 = Annotated[int, Path(ge=-(2**63), lt=2**63)]


class PageRoute(APIRoute):
    """Tells errors as a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return problem_page(request, problem)
            except RequestValidationError as error:
                first = error.errors()[0]
                detail = f"{first['loc'][-1]}: {str(first['msg']).removeprefix('Value error, ')}."
                status = 404 if first["loc"][0] == "path" else 422
                return problem_page(request, Problem(status, "This address has a mistake", detail))
            except HTTPException as error:  # a form that cannot be read
                title = "This request cannot be read"
                return problem_page(request, Problem(error.status_code, title, str(error.detail)))
            except Exception as error:
                return problem_page(request, unexpected(error, request.url.path))

        return told


router = Router(route_class=PageRoute, include_in_schema=False)


@router.get("/")
def shows(ask: Ask, page: Number = 1, q: Words = "") -> Response:
    """All shows that one may see."""
    look = looks.Look.of(ask)
    found = overview.page(look.asks, look.shows, look.looker(Subject.DOWNLOADS), page, q)
    return _page(ask, "overview.html.j2", title="Shows", here="overview", page=found)


@router.get("/shows/{show_id:path}")
def one_show(
    ask: Ask,
    show_id: str,
    days: Days = SPAN,
    source_class: SourceClass | None = None,
    window: Window | None = None,
) -> Response:
    """A show, as much of it as one may see."""
    look = looks.Look.of(ask)
    sight = look.sight(show_id, days, source_class, window)
    return _page(ask, "show.html.j2", title="", page=show_page.page(look.asks, sight))


@router.get("/episodes")
def all_episodes(
    ask: Ask,
    show: Annotated[str, Query(max_length=200)],
    page: Number = 1,
    source_class: SourceClass | None = None,
    window: Window | None = None,
) -> Response:
    """All episodes of a show that one may see."""
    look = looks.Look.of(ask)
    sight = look.sight(show, SPAN, source_class, window)
    if not sight.subjects & {"downloads", "pacing"}:
        raise _unknown("show")
    title, _, _ = show_page.about(look.asks, sight.scope.show)
    found = episodes.page(look.asks, sight, page, title)
    return _page(ask, "episodes.html.j2", title="", page=found)


@router.get("/episodes/{episode_key}")
def one_episode(
    ask: Ask,
    episode_key: Key64,
    source_class: SourceClass | None = None,
    window: Window | None = None,
) -> Response:
    """An episode of a show that one may see."""
    look = looks.Look.of(ask)
    row = episode.found(look.asks, episode_key)
    sight = look.sight(row["show_id"] if row else "", 365, source_class, window)
    assert row is not None  # of no show nothing may be seen
    title, _, _ = show_page.about(look.asks, sight.scope.show)
    return _page(ask, "episode.html.j2", title="", page=episode.page(look.asks, row, sight, title))


@router.get("/collaborations/{collaboration_id}")
def one_collaboration(ask: Ask, collaboration_id: Key64) -> Response:
    """What a collaboration brought, and how the number comes about: for who owns the show."""
    look = looks.Look.of(ask)
    of = explanation(look.asks, collaboration_id, look.basis)
    show_id = of.collaboration.show_id if of else None
    standing = ask.shows.may(show_id, Subject.COLLABORATIONS) if show_id else None
    if of is None or standing is None:
        raise _unknown("collaboration")
    page = collaboration.page(look.asks, of, look.basis, sees_costs(ask), standing is Standing.PUBLIC)
    return _page(ask, "collaboration.html.j2", title="", page=page)


@router.get("/podcasts")
def podcasts(ask: Ask, page: Number = 1, q: Words = "") -> Response:
    """Tracked podcasts of shows that one may see."""
    look = looks.Look.of(ask)
    found = podcast.listing(look.asks, look.any_subject(), page, q)
    return _page(ask, "podcasts.html.j2", title="Podcasts", here="podcasts", page=found)


@router.get("/podcasts/{podcast_key}")
def one_podcast(
    ask: Ask, podcast_key: Key64, before: Annotated[int, Query(ge=1, le=_LAST_CHANGE)] = _LAST_CHANGE
) -> Response:
    """The record of a podcast and its changes; how and where it is polled, for who tracks it."""
    look = looks.Look.of(ask)
    row = podcast.found(look.asks, podcast_key)
    if row is None or not look.may_see(row["show_id"]):
        raise _unknown("podcast")
    found = podcast.page(
        look.asks, row, before, look.known_since(podcast_key), row["show_id"] in look.shows.by_id
    )
    # Who tracks it may change without a publication: kept for nobody in particular alone.
    return _page(ask, "podcast.html.j2", ask.caller.tenant is None, title="", here="podcasts", page=found)


@router.get("/methodology")
def methodology(ask: Ask) -> Response:
    """How this installation counts, from what is in force."""
    text = texts.text_of(stated(ask))
    given = {"title": text.title, "here": "methodology", "text": text}
    # Lists in force may change without a publication: not kept.
    html = render.render("text.html.j2", **looks.around(ask), **given)
    return _html(html, 200, {"cache-control": "no-store"})


@router.get("/methodology/{name}")
def document(ask: Ask, name: str) -> Response:
    """A document that does not depend on the installation."""
    text = texts.document(name)
    if text is None:
        raise _unknown("page")
    return _page(ask, "text.html.j2", title=text.title, here="methodology", text=text)


@router.get("/methodology/pictures/{name}")
async def picture(ask: Ask, name: str) -> Response:
    """A picture of a document."""
    content = texts.picture(name)
    if content is None:
        raise _unknown("page")
    # As an image it runs nothing; opened by itself it may use the styles that are written in it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return Response(
        content,
        media_type="image/svg+xml",
        headers={"content-security-policy": policy, "cache-control": "max-age=3600"},
    )


@router.get("/assets/{name}")
async def asset(ask: Ask, name: str) -> Response:
    """The style sheet and the icon, each under the name of its content."""
    for file, kind in ((render.SHEET, "text/css"), (render.ICON, "image/svg+xml")):
        content, address = render.asset(file)
        if address == f"/assets/{name}":
            return Response(content, media_type=kind, headers={"cache-control": FOR_EVER})
    raise _unknown("page")


@router.get("/session")
async def session_form(ask: Ask) -> Response:
    """Where a key is entered."""
    return _session_page(ask, "", 200)


@router.post("/session")
async def session_begin(
    ask: Ask, request: Request, key: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Remember the tenant of a key in this browser."""
    _same_site(request)
    given, by_key = f"Bearer {key.strip()}".encode(), Authentication(ask.core.secret)
    is_new = is_new_key(given, ask.access)
    newer = await ask.core.book.newer(ask.access) if is_new else None
    if is_new and newer is None and ask.core.book.is_behind:
        return _session_page(ask, "Which keys there are cannot be told just now: try again in a minute.", 503)
    try:
        caller = by_key.caller_of(given, None, newer or ask.access, False)
    except Problem:
        return _session_page(ask, "This key is unknown, revoked or expired.", 401)
    if not caller.may(Scope.READ):
        return _session_page(ask, "This key may not read figures: it lacks the scope read.", 403)
    answer = RedirectResponse("/", 303)
    _remember(answer, ask, request, sessions.Session(_in(SESSION_S), key_id=caller.key_id))
    return answer


@router.post("/session/end")
async def session_end(ask: Ask, request: Request) -> Response:
    """Forget it."""
    _same_site(request)
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(sessions.COOKIE, path="/", httponly=True, samesite="lax")
    return answer


@router.get("/link/{token}")
async def link(ask: Ask, request: Request, token: str) -> Response:
    """A link of `earshot access link`: shows one show, without a key. A key that was entered stays."""
    session = sessions.read(ask.core.secret, token, time.time_ns() // 1000)
    if session is None or session.show_id is None:
        raise Problem(410, "This link is over", "It has ended, or was not copied whole: ask for a new one.")
    answer = RedirectResponse(looks.address_of(session.show_id), 303)
    answer.headers["cache-control"] = "no-store"
    if ask.caller.key_id is None:
        _remember(answer, ask, request, session)
    elif not Shows(ask.caller, ask.access, frozenset()).is_owner(session.show_id):
        raise Problem(
            409,
            "You have entered a key",
            "This browser remembers a key that does not show what the link shows, and a link would take its "
            "place: leave first, then open the link again; or open it in a private window.",
        )
    return answer


def _in(seconds: int) -> int:
    return (int(time.time()) + seconds) * 1_000_000


def _remember(answer: Response, ask: Visit, request: Request, session: sessions.Session) -> None:
    answer.set_cookie(
        sessions.COOKIE,
        sessions.issue(ask.core.secret, session),
        max_age=max(0, session.until_us // 1_000_000 - int(time.time())),
        path="/",
        httponly=True,
        secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
        samesite="lax",
    )


def _same_site(request: Request) -> None:
    """Raises Problem: another page sent the form."""
    site = request.headers.get("sec-fetch-site")  # Origin is null: our pages send no referrer
    origin = request.headers.get("origin", "null")
    is_ours = origin == "null" or urlsplit(origin).netloc == request.headers.get("host")
    if not (site in ("same-origin", "none") if site else is_ours):
        raise Problem(403, "Not from here", "This form was sent by another page: enter the key on this one.")


def _unknown(what: str) -> Problem:
    return Problem(404, f"No such {what}", "There is none under this address that you may see.")


def _page(ask: Visit, template: str, is_kept: bool = True, **given: Any) -> Response:
    """A page; `is_kept`, by the gate: it depends on nothing but publication, caller and address."""
    ask.is_reproducible = is_kept
    headers = {} if is_kept else {"cache-control": "no-store"}
    return _html(render.render(template, **looks.around(ask), **given), 200, headers)


def _session_page(ask: Visit, wrong: str, status: int) -> Response:
    html = render.render("session.html.j2", **looks.around(ask), title="Enter your key", wrong=wrong)
    return _html(html, status, {"cache-control": "no-store"})


def problem_page(request: Request, of: Problem) -> Response:
    """A problem told as a page."""
    ask: Visit = request.scope[KEY]
    fields = [field for field, _ in of.errors if field not in of.detail]
    detail = ": ".join([*fields, of.detail]) + ("" if of.detail.endswith(".") else ".")
    html = render.render("problem.html.j2", **looks.around(ask), title=of.title, detail=detail)
    headers = {name: value for name, value in of.headers.items() if name != "www-authenticate"}
    return _html(html, of.status, {"cache-control": "no-store", **headers})


def _html(html: str, status: int, headers: dict[str, str]) -> Response:
    headers = {"content-security-policy": POLICY, **headers}
    return Response(html, status, headers, "text/html; charset=utf-8")
