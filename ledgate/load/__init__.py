"""`ledgate load`: one JSON file inserted or updated by name in one transaction."""

from ledgate.load.apply import Counts
from ledgate.load.fields import BadLoad
from ledgate.load.guarded import load, preview
from ledgate.load.subscribers import CHUNK

__all__ = ["CHUNK", "BadLoad", "Counts", "load", "preview"]
