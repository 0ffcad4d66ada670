"""Routers as peers of the RouterOS API: what they are to hold, how that differs from what they hold, and mending it."""
