"""The `ledgate` command as tests call it: what it prints, how it refuses, and that it never tells a secret."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from click.testing import CliRunner, Result
from sqlalchemy.engine import make_url

from ledgate.cli import main

SECRETS = ("testing123", "pw-bob", "pw-eve", "hush-hush")


class Ledgate:
    """The `ledgate` command with a database and a state directory of the test's own."""

    def __init__(self, url: str, state_dir: Path) -> None:
        self.state_dir = state_dir
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGATE_")}
        self.environment = kept | {
            "LEDGATE_DATABASE_URL": url,
            "LEDGATE_STATE_DIR": str(state_dir),
            "USER": "ana",
            "LEDGATE_TEST": os.environ.get("LEDGATE_TEST", ""),
        }
        self.environment.pop("SUDO_USER", None)
        self.told = SECRETS + ((password,) if (password := make_url(url).password) else ())

    def process(self, *arguments: str) -> str:
        """What a process of its own prints; it must end well and give away nothing."""
        ended = subprocess.run(
            [sys.executable, "-m", "ledgate", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.gives_nothing_away(ended.stdout + ended.stderr)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def __call__(self, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
        """What the command prints, called in this very process: a start takes longer than all the rest."""
        ended = self._invoke(arguments, environment)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def refuses(self, *arguments: str, status: int = 2, environment: Mapping[str, str] = MappingProxyType({})) -> str:
        """The one line in which it refuses."""
        return self.stops(*arguments, status=status, environment=environment)[1]

    def stops(
        self, *arguments: str, status: int = 2, environment: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[str, str]:
        """What it prints, and the one line in which it refuses."""
        ended = self._invoke(arguments, environment)
        assert ended.exit_code == status, ended.output
        [line] = ended.stderr.splitlines()
        assert line.startswith("ledgate: ")
        return ended.stdout, line.removeprefix("ledgate: ")

    def _invoke(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Result:
        cleared: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LEDGATE_")}
        ended = CliRunner().invoke(
            main,
            arguments,
            env={**cleared, "SUDO_USER": None, **self.environment, **environment},
            prog_name="ledgate",
            catch_exceptions=False,
        )
        self.gives_nothing_away(ended.output)
        return ended

    def gives_nothing_away(self, printed: str) -> None:
        for word in self.told:
            assert word not in printed
