"""Build script. Everything but optional compilation is in pyproject.toml.

With LEDGATE_COMPILE=1 the hot modules that exist are compiled by mypyc; without it the same files run as they are.
"""

import os
from pathlib import Path
from typing import Any

from setuptools import setup

# The path of a packet through `auth` and `acct`. Each is plain typed Python: compiled or not, it behaves alike.
HOT_MODULES = [
    "aaa/domain/authorisation.py",
    "aaa/domain/grace.py",
    "aaa/domain/mac.py",
    "aaa/domain/method.py",
    "aaa/domain/session.py",
    "aaa/radius/access.py",
    "aaa/radius/accounting.py",
    "aaa/radius/acct_role.py",
    "aaa/radius/auth_log.py",
    "aaa/radius/auth_role.py",
    "aaa/radius/clients.py",
    "aaa/radius/concealment.py",
    "aaa/radius/counters.py",
    "aaa/radius/credentials.py",
    "aaa/radius/datagrams.py",
    "aaa/radius/grant.py",
    "aaa/radius/intake.py",
    "aaa/radius/integrity.py",
    "aaa/radius/login_line.py",
    "aaa/radius/origin.py",
    "aaa/radius/own_clock.py",
    "aaa/radius/packet.py",
    "aaa/radius/reply_cache.py",
    "aaa/store/accounting.py",
    "aaa/store/arrays.py",
    "aaa/store/ownership.py",
    "aaa/store/pipeline.py",
    "aaa/store/record.py",
    "aaa/store/replica.py",
    "aaa/store/scratch.py",
    "aaa/store/seal.py",
    "aaa/store/session_rows.py",
]


def compiled_modules() -> list[Any]:
    """The extension modules to build: none unless LEDGATE_COMPILE=1."""
    if os.environ.get("LEDGATE_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    return mypycify([module for module in HOT_MODULES if Path(module).exists()], opt_level="3")


setup(ext_modules=compiled_modules())
