"""Billing: the ledger that verdicts come from. Uses access downwards; access knows nothing of it."""
