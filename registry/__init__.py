"""What we know and have promised: podcasts tracked, leases, hints, collaborations, subscriptions, outbox.

SQLAlchemy Core on SQLite or PostgreSQL (`EARSHOT_REGISTRY`). Instants: epoch microseconds, UTC.
"""
