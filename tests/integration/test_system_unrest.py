"""Routers that lose, lie, boot and cut their API off, engines killed with -9: in the end all is as it should be, small.

`make soak S=routers` does it for longer, by another seed each time.
"""

from pathlib import Path

import pytest

from tests.load.unrest import Unrest

SEED = 5176


@pytest.mark.parametrize(("database", "engines"), [("sqlite", 1), ("postgresql", 2)])
def test_every_session_and_list_comes_right(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, engines: int
) -> None:
    print(f"seed={SEED}")
    url = request.getfixturevalue(f"{database}_url")
    with Unrest(url, tmp_path, SEED, each=4, engines=engines) as scene:
        scene.disturb(8.0)
        scene.calm()
        assert scene.attempts() > 20 and scene.told
        assert not scene.unaccounted()
        assert "Traceback" not in scene.made.log
