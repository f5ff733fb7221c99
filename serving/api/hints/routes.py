"""The routers of this package, as the application mounts them."""

from serving.api.hints import hubs, podping

ROUTERS = (podping.router, hubs.router)
