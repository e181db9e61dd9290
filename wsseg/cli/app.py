"""The command line, to which the modules beside this one add their commands."""

from typing import Annotated

import typer

import wsseg

app = typer.Typer(
    help="Pixel label maps and a trained segmenter from cheap annotations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"wsseg {wsseg.__version__}")
        raise typer.Exit
