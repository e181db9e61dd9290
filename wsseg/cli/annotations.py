"""Commands of annotations: check, simulate, select, audit."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wsseg.bands import ImageParams
from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.options import options
from wsseg.data.params import DataParams
from wsseg.runs.config import load_config
from wsseg.runs.progress import log, track
from wsseg.runs.recipes import find_config
from wsseg.stages.audit.params import AuditParams
from wsseg.stages.selection.params import SelectionParams
from wsseg.synthetic.params import SimulationParams


@app.command()
@plain_errors()
@options(ImageParams)
def check(
    dataset: Annotated[
        Path, typer.Argument(help="Folder of any format that wsseg reads, or YAML file of a run.")
    ],
    annotations: Annotated[
        list[Path] | None, typer.Argument(help="Files that are laid over it, such as points.jsonl.")
    ] = None,
    *,
    format_: Annotated[
        str, typer.Option("--format", help="Format, such as voc, coco or jsonl; auto detects it.")
    ] = DataParams.model_fields["format"].default,
    params: ImageParams,
    all_: Annotated[bool, typer.Option("--all", help="List every problem of each kind.")] = False,
    fast: Annotated[bool, typer.Option(help="Read only the headers of images and masks.")] = False,
) -> None:
    """Report the contents and the problems of a data set; exit code 1 if there are errors."""
    from wsseg.data.check import check_dataset

    is_config = dataset.suffix in {".yaml", ".yml"} and not dataset.is_dir()
    data = load_config(find_config(dataset)).data if is_config else dataset
    report = check_dataset(
        data, format_, deep=not fast, annotations=annotations or (), reading=params
    )
    for line in report.lines(most=None) if all_ else report.lines():
        typer.echo(line)
    raise typer.Exit(1 if any(problem.fatal for problem in report.problems) else 0)


@app.command()
@plain_errors()
@options(SimulationParams)
def simulate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set with full masks.")],
    out: Annotated[Path, typer.Argument(help="JSON Lines file to write, such as points.jsonl.")],
    params: SimulationParams,
) -> None:
    """Draw weak annotations from full masks, to learn what they would be worth."""
    from wsseg.synthetic.simulate import simulate_dataset

    result = simulate_dataset(dataset, out, params, partial(track, title="simulate"))
    for line in result.lines():
        typer.echo(line)


@app.command()
@plain_errors()
@options(SelectionParams, "dataset", "annotations")
def select(params: SelectionParams) -> None:
    """Choose the images that are worth a full mask, and show them on a page."""
    from wsseg.report.selection_page import write_selection_page
    from wsseg.stages.selection.selecting import select_images

    if params.config is not None:
        params = params.model_copy(update={"config": find_config(params.config)})
    selection = select_images(params)
    page = write_selection_page(selection)
    for line in selection.lines():
        typer.echo(line)
    log(f"page: {page}")


@app.command()
@plain_errors()
@options(AuditParams)
def audit(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    *,
    params: AuditParams,
    out: Annotated[
        Path | None, typer.Option(help="Folder for findings and page; default RUN/audit.")
    ] = None,
    to: Annotated[
        tuple[str, Path] | None, typer.Option("--to", help="cvat and a new folder.")
    ] = None,
) -> None:
    """Rank annotations of the training images that look wrong to the run's network."""
    from wsseg.report.audit_page import write_audit_page
    from wsseg.stages.audit.audit import audit_run
    from wsseg.stages.audit.cvat import check_export, export_findings

    if to is not None:
        check_export(*to)
    result = audit_run(run, params, out)
    page = write_audit_page(result, params.limit)
    for line in result.lines():
        typer.echo(line)
    log(f"page: {page}")
    if to is not None:
        export_findings(result, to[1], params)
