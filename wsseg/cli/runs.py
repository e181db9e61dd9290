"""Commands of runs and label maps: run, predict, export, refine, report, compare."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.options import options
from wsseg.cli.pipelines import run_and_report
from wsseg.foundation.params import SamParams
from wsseg.runs.config import load_config
from wsseg.runs.recipes import end_with, find_config
from wsseg.stages.params import ExportParams


@app.command("run")
@plain_errors()
def run_pipeline(
    config: Annotated[Path, typer.Argument(help="YAML file, such as configs/demo_boxes.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="key=value, such as run_dir=runs/x seed=1 data.root=my/images."),
    ] = None,
    *,
    until: Annotated[
        str | None,
        typer.Option(
            help="End after seeds, zoom, or a round such as round-1; without it the same command"
            " continues."
        ),
    ] = None,
) -> None:
    """Run a pipeline; finished stages are skipped, interrupted ones are resumed."""
    config = find_config(config)
    settings = load_config(config, overrides or [])
    run_and_report(end_with(settings, until) if until else settings, config.parent)


@app.command("config")
@plain_errors()
def print_config(
    config: Annotated[Path, typer.Argument(help="YAML file, or the folder of a run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, as for wsseg run.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Print all settings.")] = False,
    diff: Annotated[
        Path | None, typer.Option(help="Print what differs from the settings of this run.")
    ] = None,
) -> None:
    """Print settings as YAML with their help texts; by default those that are not the default."""
    from wsseg.runs.run import read_config
    from wsseg.runs.settings_text import settings_yaml

    file = config / "config.yaml" if config.is_dir() else find_config(config)
    settings = load_config(file, overrides or [])
    base = read_config(diff) if diff else None
    typer.echo(settings_yaml(settings, base=base, every=every), nl=False)


@app.command()
@plain_errors()
def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a model.ckpt.")],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")],
    strict: Annotated[
        bool, typer.Option(help="Stop at the first unusable image instead of skipping it.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            help="Also write annotations in this format of wsseg export, such as coco or cvat, to"
            " label new images in a tool; the images are not copied."
        ),
    ] = None,
) -> None:
    """Write a palette PNG and an overlay for every image, of any size."""
    from wsseg.stages.predict import predict_files

    predict_files(run, images, out, strict, to)


@app.command()
@plain_errors()
@options(ExportParams)
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    params: ExportParams,
) -> None:
    """Write the label maps of a stage, worst first, for review and correction in another tool."""
    from wsseg.stages.export import export_labels

    export_labels(run, out, params)


@app.command()
@plain_errors()
@options(SamParams)
def refine(
    labels: Annotated[Path, typer.Argument(help="Folder of label maps, PNGs of class numbers.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the refined label maps.")],
    *,
    images: Annotated[Path, typer.Option(help="Folder of the images of the same names.")],
    params: SamParams,
    refiner: Annotated[
        str, typer.Option("--with", help="Refiner: sam, crf, par, pamr, or a plug-in.")
    ] = "crf",
    dataset: Annotated[
        Path | None,
        typer.Option(help="A data set whose boxes or marks say where each class may be."),
    ] = None,
) -> None:
    """Refine label maps that were made elsewhere; an interrupted call continues."""
    from wsseg.stages.refining import refine_labels

    refine_labels(labels, images, out, name=refiner, params=params, dataset=dataset)


@app.command()
@plain_errors()
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    compare: Annotated[
        Path | None, typer.Option(help="Another run on the same images, to be compared with.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="A list of images whose masks may teach what signals tell; kept."),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print it in place of its path.")] = False,
) -> None:
    """Write report/index.html, images.html and summary.json anew."""
    from wsseg.report.difference_page import report_difference
    from wsseg.report.run_report import report_run
    from wsseg.report.terminal import text_report

    if compare is None:
        page = report_run(run, masks, log=False).page
    else:
        page = report_difference(run, compare, masks)
    if text:
        Console().print(text_report(run))
    else:
        typer.echo(page)


@app.command()
@plain_errors()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs; seeds of one recipe are averaged.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for an HTML page.")] = None,
) -> None:
    """Print weak supervision against the full-supervision upper bound."""
    from wsseg.report.comparison_page import compare_runs

    for line in compare_runs(runs, out):
        typer.echo(line)
