"""Commands for the first steps: init, doctor, demo."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.pipelines import run_and_report
from wsseg.errors import InputError
from wsseg.runs.config import load_config
from wsseg.runs.progress import log
from wsseg.runs.recipes import find_config, shipped_config


@app.command()
@plain_errors()
def init(
    dataset: Annotated[Path, typer.Argument(help="Folder of any format that wsseg reads.")],
    out: Annotated[
        Path | None,
        typer.Option(help="YAML file to write; default NAME.yaml of the folder's name."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="Format, such as voc or coco; auto detects it.")
    ] = "auto",
) -> None:
    """Write settings that fit a data set and this machine, and print what to do next."""
    from wsseg.cli.proposal import find_out, run_name, settings_text

    path = out or Path(f"{run_name(dataset)}.yaml")
    if path.exists():
        raise InputError(f"{path} exists", hint="remove it, or name another file with --out")
    findings = find_out(dataset, format_)
    text = settings_text(findings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    typer.echo(text)
    for warning in findings.warnings():
        log(f"warning: {warning}")
    name = shlex.quote(str(path))
    typer.echo(f"{path} is written. Next:\n  wsseg check {name}\n  wsseg run {name}")


@app.command()
@plain_errors()
def doctor(
    config: Annotated[
        Path | None,
        typer.Argument(help="YAML file of a run; without it, the machine alone."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, as for wsseg run.")
    ] = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check whether this machine can run wsseg, and print remedies; exit code 1 if it cannot."""
    from wsseg.cli.doctor.check import run_checks, table_of

    checks = list(run_checks(find_config(config) if config else None, overrides or []))
    if json_:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        Console().print(table_of(checks))
    raise typer.Exit(1 if any(check.state == "problem" for check in checks) else 0)


@app.command()
@plain_errors()
def demo(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, such as rounds.count=1.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="The run's folder; the scenes go beside it.")] = Path(
        "runs/demo_boxes"
    ),
) -> None:
    """Run the boxes pipeline on generated scenes; it needs no data and no weights."""
    config = shipped_config("demo_boxes.yaml")
    paths = {"run_dir": out, "data.root": out.parent / "demo_scenes"}
    # The paths are quoted because YAML would read a name such as `1` or `a: b` as another type.
    own = [f"{key}={json.dumps(str(path))}" for key, path in paths.items()]
    settings = load_config(config, [*own, *(overrides or [])])
    run_and_report(settings, config.parent)
