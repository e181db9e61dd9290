from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from wsseg.cli.options import options, parse
from wsseg.errors import InputError
from wsseg.params import Params


class Base(Params):
    share: float = Field(0.25, gt=0, le=1)
    """Share of the
    images."""


class Example(Base):
    folder: Path
    """Path of the folder."""
    files: tuple[Path, ...] = ()
    kind: Literal["cat", "dog"] = "cat"
    scales: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    max_count: int | None = None
    fast: bool = False


@pytest.fixture
def run():
    """Call a command with options of ``Example``; return its exit code, parameters and output."""
    app, received = typer.Typer(), []

    @app.command()
    @options(Example, "folder", "files")
    def command(out: Annotated[Path, typer.Argument(help="A file.")], params: Example):
        """Say something."""
        received.append((out, params))

    def call(*arguments):
        received.clear()
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
        return result, received[0] if received else None

    return call


def test_options_that_are_not_given_have_the_defaults_of_the_class(run):
    _, (out, params) = run("here", "there")
    assert out == Path("there") and params == Example(folder="here")


def test_every_type_of_field_can_be_given(run):
    arguments = ("here", "a", "b", "there", "--share", "0.5", "--kind", "dog", "--max-count", "3")
    _, (out, params) = run(*arguments, "--fast")
    assert out == Path("there")
    assert params == Example(
        **{"folder": "here", "files": (Path("a"), Path("b")), "share": 0.5, "kind": "dog"},
        **{"max_count": 3, "fast": True},
    )


def test_help_tells_what_the_class_tells(run):
    text = " ".join(run("--help")[0].output.replace("│", " ").split())
    assert "Share of the images. (above 0, at most 1) [default: 0.25]" in text
    assert "Path of the folder. [required]" in text and "Say something." in text
    assert text.index("--kind") < text.index("--share")  # own fields before inherited ones
    assert "--params" not in text and "--no-fast" not in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 2}, "--share must be less than or equal to 1, got 2; correct it"),
        ({"kind": "cow", "max_count": None}, "--kind must be 'cat' or 'dog', got 'cow'"),
        ({"folder": None}, "--folder must be set, got nothing"),
    ],
)
def test_errors_name_the_option(values, message):
    with pytest.raises(InputError) as raised:
        parse(Example, {"folder": "here", **values})
    assert message in str(raised.value)
