"""Superset's settings, of which it takes every name in capitals. EARSHOT_DATA is absolute here (start.py)."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.superset.connections import open_safely

_FOLDER = Path(os.environ["EARSHOT_DATA"]) / "bi"

SECRET_KEY = (_FOLDER / "secret_key").read_text("ascii").strip()
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_FOLDER / 'superset.db'}"
DB_CONNECTION_MUTATOR = open_safely
APP_NAME = "Earshot"

# A chart asks anew each time it is loaded, so that it never shows an older version: DuckDB is quick enough.
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}

SQLLAB_CTAS_NO_LIMIT = False
ROW_LIMIT = 50_000
SUPERSET_WEBSERVER_TIMEOUT = 60
RATELIMIT_ENABLED = True
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "20 per minute"
RATELIMIT_STORAGE_URI = "memory://"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# Nothing of another host: no map tiles, no pixel that counts installations.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
