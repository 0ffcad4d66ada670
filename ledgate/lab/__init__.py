"""The lab: a fake MikroTik router, for the demo and for tests."""
