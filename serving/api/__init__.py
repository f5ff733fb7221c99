"""The HTTP API: figures, records, management and hints under /v1, as FastAPI routers behind one gate.

How to add a router
    router = Router(prefix="/v1", tags=["reporting"])   # serving.api.routing; then name it in app.ROUTERS

    @router.get("/shows/{show_id}/pacing", responses=answers.documented(PacingRow))
    def pacing(ask: AskTable, show_id: ShowId, page: PageAsked) -> Response:
        standing = ask.shows.require(show_id, Subject.PACING)   # 404 for unknown and forbidden alike
        rows = ask.marts.rows("select … limit ? offset ?", [show_id, *page.window])
        return table_answer(ask, rows, page, window=ask.marts.window)

- Endpoints that query are plain `def`: they run in a thread. Dependencies are `async def` without an await:
  a plain one would cost a thread hop each. `Ask` (visit.py): who asks, which publication, what may be seen;
  `AskTable` is the same where the answer is a table (`?format=`, 406).
- `ask.marts` is one publication for the whole request, however often a newer one is published meanwhile.
- `table_answer` marks the answer as depending on nothing but publication, caller and query: the gate then
  gives it an ETag, keeps it in memory and answers 304 without calling you. What depends on more (registry,
  lake) uses `answers.plain_answer`.
- Every query parameter is declared: others are refused by name. Errors are raised as `problems.Problem`.
- Who may do more than read: `caller: Annotated[Caller, needs(Scope.MANAGE)]`; changes are noted with
  `registry.audit_log.record`, in the transaction that makes them.
"""
