"""Commands of runs: run, predict, export, report, compare."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.pipelines import find_config, run_and_report
from wsseg.runs.config import load_config


@app.command("run")
@plain_errors()
def run_pipeline(
    config: Annotated[Path, typer.Argument(help="YAML file, such as configs/demo_boxes.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="key=value, such as run_dir=runs/x seed=1 data.root=my/images."),
    ] = None,
) -> None:
    """Run a pipeline; a finished stage is skipped, an interrupted one goes on."""
    config = find_config(config)
    settings = load_config(config, overrides or [])
    run_and_report(settings, config.parent)


@app.command()
@plain_errors()
def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a model.ckpt.")],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")],
    strict: Annotated[bool, typer.Option(help="Stop at the first bad image.")] = False,
) -> None:
    """Write a palette PNG and an overlay for every image, of any size."""
    from wsseg.stages.predict import predict_files

    predict_files(run, images, out, strict)


@app.command()
@plain_errors()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    to: Annotated[str, typer.Option("--to", help="voc, coco, cvat or fiftyone.")],
    stage: Annotated[
        str | None, typer.Option(help="Such as round-2; otherwise the last complete one.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Such as train or val.")] = None,
    images: Annotated[str, typer.Option(help="copy, link (hard links) or none.")] = "copy",
    worst: Annotated[
        int | None, typer.Option(help="How many images, the worst by estimate; otherwise all.")
    ] = None,
) -> None:
    """Write a stage's label maps, worst first, for a tool to look at and correct them in."""
    from wsseg.stages.export import export_labels
    from wsseg.stages.signals import read_signals

    export_labels(
        run,
        out,
        to,
        stage=stage,
        split=split,
        images=images,
        worst=worst,
        read_signals=read_signals,
    )


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
