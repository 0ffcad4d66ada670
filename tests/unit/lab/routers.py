"""A device without its server: commands as lines, answers as data."""

from ledgate.lab.routeros.commands import read_sentence, run
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.tables import Item
from ledgate.lab.routeros.trap import Trap

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


class Console:
    """Gives commands to a device at instants that the test chooses: `console("/ip/pool/print", "?name=x")`."""

    def __init__(self, version: str = "7.16.2", **names: list[str]) -> None:
        self.now = NOW
        self.device = Device(version, NOW, names={name.replace("_", "."): found for name, found in names.items()})

    def __call__(self, *words: str) -> list[Item]:
        return list(run(self.device, read_sentence(list(words)), self.now).items)

    def add(self, menu: str, **properties: str) -> str:
        words = [f"={name.replace('_', '-')}={value}" for name, value in properties.items()]
        return run(self.device, read_sentence([f"{menu}/add", *words]), self.now).done["ret"]

    def refused(self, *words: str) -> str:
        try:
            self(*words)
        except Trap as trap:
            return trap.message
        raise AssertionError(f"{words} was not refused")

    def column(self, menu: str, name: str) -> list[str]:
        """One property of all rows that have it, in order."""
        return [item[name] for item in self(f"{menu}/print") if name in item]
