"""Commands of the first hour: doctor, demo."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.pipelines import find_config, run_and_tell, shipped_config
from wsseg.runs.config import load_config


@app.command()
@plain_errors()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file of a run; otherwise the machine alone.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, as for wsseg run.")
    ] = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
) -> None:
    """Say whether this machine can do a run, and what to do about it; exit code 1 if it cannot."""
    from wsseg.cli.doctor.diagnosis import diagnose
    from wsseg.cli.doctor.found import records_of, table_of

    found = list(diagnose(find_config(config) if config else None, overrides or []))
    if json_:
        typer.echo(json.dumps([*records_of(found)], indent=2))
    else:
        Console().print(table_of(found))
    raise typer.Exit(1 if any(each.state == "problem" for each in found) else 0)


@app.command()
@plain_errors()
def demo(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, such as rounds.count=1.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="The run's folder; the scenes lie beside it.")] = Path(
        "runs/demo_boxes"
    ),
) -> None:
    """Run the boxes pipeline on generated scenes, from any folder; no data, no weights."""
    config = shipped_config("demo_boxes.yaml")
    places = {"run_dir": out, "data.root": out.parent / "demo_scenes"}
    # quoted, as a name such as 1 or a: b would be read as YAML
    own = [f"{key}={json.dumps(str(path))}" for key, path in places.items()]
    settings = load_config(config, [*own, *(overrides or [])])
    run_and_tell(settings, config.parent)
