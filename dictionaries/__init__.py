"""Attribute dictionaries in FreeRADIUS syntax, written for this project from the RFCs and the vendors' manuals."""

from importlib.resources import files


def path() -> str:
    """The path of the top file, which includes all the others."""
    return str(files(__name__) / "dictionary")
