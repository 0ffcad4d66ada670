"""Alembic migrations. A landed one is never edited."""
