"""What a tenant has recorded with us: registrations, collaborations, subscriptions; and who changed it."""
