"""Commands of annotations: check, simulate, select, audit."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wsseg.cli.app import app
from wsseg.cli.errors import plain_errors
from wsseg.cli.options import options
from wsseg.cli.pipelines import find_config
from wsseg.runs.progress import say, track
from wsseg.stages.audit.params import AuditParams
from wsseg.synthetic.params import SimulationParams


@app.command()
@plain_errors()
def check(
    dataset: Annotated[Path, typer.Argument(help="Folder of any format that wsseg reads.")],
    annotations: Annotated[
        list[Path] | None, typer.Argument(help="Files that are laid over it, such as points.jsonl.")
    ] = None,
    *,
    format_: Annotated[
        str, typer.Option("--format", help="voc, coco, yolo, csv, folders, jsonl, cvat, ..., auto.")
    ] = "auto",
    all_: Annotated[bool, typer.Option("--all", help="List every problem of a kind.")] = False,
    fast: Annotated[bool, typer.Option(help="Do not decode images and masks.")] = False,
) -> None:
    """Say what a data set holds and name everything wrong with it; exit code 1 on errors."""
    from wsseg.data.check import check_dataset

    report = check_dataset(dataset, format_, deep=not fast, annotations=annotations or ())
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
def select(
    dataset: Annotated[Path, typer.Argument(help="Folder of any format that wsseg reads.")],
    annotations: Annotated[
        list[Path] | None, typer.Argument(help="Files that are laid over it, such as points.jsonl.")
    ] = None,
    *,
    budget: Annotated[int, typer.Option(help="Images to choose.")],
    out: Annotated[Path, typer.Option(help="Folder for the list and the page.")],
    method: Annotated[
        str | None,
        typer.Option(help="medoids (the default), k_centre (with --uncertainty) or random."),
    ] = None,
    quota: Annotated[
        int | None,
        typer.Option(help="Chosen images that each class is in; otherwise half the budget shared."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file whose classifier or model names the encoder.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="classifier or model of the settings, or run.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run's folder, or a model.ckpt.")] = None,
    uncertainty: Annotated[
        str | None, typer.Option(help="margin or vote_entropy of the run's network.")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Of its predictions, such as 0.75,1; those of the run.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option(help="File with an id of a labelled image a line.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split to choose from.")] = "train",
    seed: Annotated[int, typer.Option(help="The same seed gives the same list.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of what can be used again; otherwise OUT/cache.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core.", min=1)] = None,
    format_: Annotated[str, typer.Option("--format", help="voc, coco, jsonl, auto.")] = "auto",
) -> None:
    """Choose the images that are worth a full mask, and show them on a page."""
    from wsseg.report.selection_page import write_selection_page
    from wsseg.stages.selection.selecting import select_images
    from wsseg.stages.selection.settings import SelectionSettings, read_scales

    selection = select_images(
        SelectionSettings(
            *(dataset, out, budget),
            annotations=tuple(annotations or ()),
            format=format_,
            split=split,
            method=method or ("k_centre" if uncertainty else "medoids"),
            quota=quota,
            seed=seed,
            labelled=labelled,
            config=None if config is None else find_config(config),
            encoder=encoder,
            run=run,
            uncertainty=uncertainty,
            scales=None if scales is None else read_scales(scales),
            cache=cache,
            workers=workers,
        )
    )
    page = write_selection_page(selection)
    for line in selection.lines():
        typer.echo(line)
    say(f"page: {page}")


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
    images: Annotated[str, typer.Option(help="Of --to: copy, link or none.")] = "copy",
) -> None:
    """Rank annotations of the training images that look wrong to the run's network."""
    from wsseg.report.audit_page import write_audit_page
    from wsseg.stages.audit.audit import audit_run
    from wsseg.stages.audit.cvat import check_export, export_findings

    if to is not None:
        check_export(*to, images)
    result = audit_run(run, params, out)
    page = write_audit_page(result, params.limit)
    for line in result.lines():
        typer.echo(line)
    say(f"page: {page}")
    if to is not None:
        export_findings(result, to[1], limit=params.limit, images=images)
