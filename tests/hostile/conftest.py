import pytest
from hostile.commands import commands


@pytest.fixture(scope="session")
def command(tmp_path_factory):
    """Runs commands of the command line, one at a time."""
    with commands(tmp_path_factory.mktemp("said")) as does:
        yield does
