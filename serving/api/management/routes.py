"""The routers of this package, as the application mounts them."""

from serving.api.management import audit, collaborations, deliveries, registrations, subscriptions

ROUTERS = (
    registrations.router,
    collaborations.router,
    subscriptions.router,
    deliveries.router,
    audit.router,
)
