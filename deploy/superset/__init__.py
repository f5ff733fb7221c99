"""Apache Superset over the published marts: started by `make bi`, in a virtual environment of its own.

    start.py            prepares <data>/bi and becomes the server
    superset_config.py  Superset's settings
    connections.py      how a database is opened: the current version, read-only
    bundle.py           the dashboard's files, for one database, as Superset imports them
    postgres.py         whether a role of PostgreSQL may be given to analysts
    dashboard/          our dashboard in Superset's export format

Nothing here imports Earshot: the two have different requirements, and meet in the published folder.
"""
