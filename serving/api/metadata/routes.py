"""The routers of this package, as the application mounts them."""

from serving.api.metadata import changes, episodes, podcasts, search

ROUTERS = (podcasts.router, episodes.router, changes.router, search.router)
