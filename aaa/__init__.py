"""Access: RADIUS, debit control, live sessions and the store they share. Knows nothing of billing."""
