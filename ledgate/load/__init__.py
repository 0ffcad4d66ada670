"""`ledgate load`: one JSON file inserted or updated by name in one transaction."""

from ledgate.load.apply import CHUNK, Counts
from ledgate.load.fields import BadLoad
from ledgate.load.guarded import load, preview

__all__ = ["CHUNK", "BadLoad", "Counts", "load", "preview"]
