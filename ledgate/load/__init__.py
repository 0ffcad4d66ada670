"""`ledgate load`: one JSON file inserted or updated by name in one transaction."""

from ledgate.load.apply import CHUNK, Counts, load
from ledgate.load.fields import BadLoad

__all__ = ["CHUNK", "BadLoad", "Counts", "load"]
