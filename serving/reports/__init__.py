"""Questions to a published version, and what must be said beside each answer. Pure: SQL and words, no server.

    shows = Shows.load(asks)                       # once a version: which shows there are, and who sees them
    scope = Scope.of(shows, show, basis)           # one show under one source class and window rule
    report = downloads(scope, by=By.WEEK)          # a Query and what is said beside it
    report.rows(asks), report.about

A report is one query over rows that lie together by (show, date); `about` names source class, window, zone,
range, version and the rule. `Scope.outside` is for readers who do not own the show: rows then have the column
`least_listeners`, at least how many listeners are behind them, by which small cells are suppressed.
"""
