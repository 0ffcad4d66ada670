"""Compiles generator.c and runs it."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).with_name("generator.c")
RESPONDER: Final = Path(__file__).with_name("responder.c")


@dataclass(frozen=True, slots=True)
class Load:
    """How to drive a server: closed loop with `window` requests in flight per socket, or at `rate` > 0 a second."""

    seconds: float
    sockets: int
    window: int
    rate: float = 0


def build(source: Path, directory: Path) -> Path:
    """Compile one C file of this folder with `cc -O2`; the program."""
    program = directory / source.stem
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return program


def drive(
    program: Path, port: int, file: Path, load: Load, first: int = 0, once: bool = False,
    dump: Path | None = None, every: int = 97,
) -> dict[str, Any]:  # fmt: skip
    """One run against 127.0.0.1:`port`; what the generator printed (see generator.c), `codes` keyed by int."""
    command = [
        str(program), "127.0.0.1", str(port), str(file), str(load.seconds), str(load.sockets), str(load.window),
        str(load.rate), str(first), str(int(once)), str(dump) if dump else "-", str(every),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=load.seconds + 60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    result: dict[str, Any] = json.loads(done.stdout)
    result["codes"] = {int(code): count for code, count in result["codes"].items()}
    return result
