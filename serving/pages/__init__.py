"""Pages for people: server-rendered, no script, every figure with a link to its rule.

    routes.py      which address shows what, and to whom
    session.py     a key entered once, or a link received: who is looking
    view/          what a page says, as plain data: figures, tables, charts, words
    charts/        Vega-Lite specifications of ours, drawn to SVG on the server (docs/decisions/0025)
    templates/     Jinja2, escaped everywhere
    static/        one style sheet

A page asks serving/reports, as the reporting API does, so that both say the same.
"""
