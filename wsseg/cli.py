"""The command line: check, simulate, run, predict, export, audit, report, compare."""

import errno
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import wsseg
from wsseg.errors import DivergenceError, InputError
from wsseg.run.config import load_config
from wsseg.run.progress import console, say
from wsseg.run.settings import Config


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say what stopped a command in one line; 2 is bad input, 130 an interrupt, 1 the rest."""
    try:
        yield
    except InputError as error:
        _stop(f"error: {error}", 2)
    except DivergenceError as error:
        _stop(f"training stopped: {error}", 1)
    except KeyboardInterrupt:
        _stop("interrupted; the same command goes on from here", 130)
    except BrokenPipeError:  # whoever read the output has gone, as in `wsseg check x | head`
        raise
    except OSError as error:
        _stop(f"error: {_refusal(error)}", 1)


def _stop(message: str, code: int) -> NoReturn:
    console.print(message, style="red", markup=False, soft_wrap=True)
    sys.exit(code)


def _refusal(error: OSError) -> str:
    """What the operating system refused, such as writing to a full disk."""
    place = f"{error.filename}: " if error.filename else ""
    remedy = "free some space" if error.errno == errno.ENOSPC else "correct it"
    return f"{place}{error.strerror or error}; {remedy} and run the same command again"


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


@app.command("run")
@_plain_errors()
def run_pipeline(
    config: Annotated[Path, typer.Argument(help="YAML file, such as configs/demo_boxes.yaml.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="key=value, such as run_dir=runs/x seed=1 data.root=my/images."),
    ] = None,
) -> None:
    """Run a pipeline; a finished stage is skipped, an interrupted one goes on."""
    config = _found(config)
    settings = load_config(config, overrides or [])
    _run(settings, config.parent)
    say(f"report: {settings.run_dir / 'report' / 'index.html'}")


@app.command()
@_plain_errors()
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
    from wsseg.annotations.check import check_dataset

    report = check_dataset(dataset, format_, deep=not fast, annotations=annotations or ())
    for line in report.lines(most=None) if all_ else report.lines():
        typer.echo(line)
    raise typer.Exit(1 if any(problem.fatal for problem in report.problems) else 0)


@app.command()
@_plain_errors()
def predict(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a model.ckpt.")],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")],
    strict: Annotated[bool, typer.Option(help="Stop at the first bad image.")] = False,
) -> None:
    """Write a palette PNG and an overlay for every image, of any size."""
    from wsseg.segmenter.batch import predict_files

    predict_files(run, images, out, strict)


@app.command()
@_plain_errors()
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    *,
    to: Annotated[str, typer.Option("--to", help="voc, coco or cvat.")],
    stage: Annotated[
        str | None, typer.Option(help="Such as round-2; otherwise the last complete one.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Such as train or val.")] = None,
    images: Annotated[str, typer.Option(help="copy, link (hard links) or none.")] = "copy",
) -> None:
    """Write a stage's label maps for an annotation tool, to be corrected there."""
    from wsseg.export import export_labels

    export_labels(run, out, to, stage=stage, split=split, images=images)


@app.command()
@_plain_errors()
def audit(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for findings and page; otherwise RUN/audit.")
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(help="Whose network looks, such as round-1; otherwise the last round's."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Train so many networks, each without a part of the images it judges."),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option(help="boxes, tags, masks or all of the data set; otherwise what was learned."),
    ] = None,
    least: Annotated[float, typer.Option(help="The lowest score of a finding, 0 to 1.")] = 0.2,
    most: Annotated[int, typer.Option(help="Findings on the page, and exported.", min=1)] = 200,
    to: Annotated[
        tuple[str, Path] | None, typer.Option("--to", help="cvat and a new folder.")
    ] = None,
    images: Annotated[str, typer.Option(help="Of --to: copy, link or none.")] = "copy",
    workers: Annotated[int | None, typer.Option(help="Processes; as the run.", min=1)] = None,
) -> None:
    """Rank where the given labels of the training images look wrong to the run's network."""
    from wsseg.audit import audit_run
    from wsseg.audit.cvat import check_export, export_findings
    from wsseg.quality.audit_page import write_audit_page

    if to is not None:
        check_export(*to, images)
    found = audit_run(run, out, stage=stage, folds=folds, given=given, least=least, workers=workers)
    page = write_audit_page(found, most)
    for line in found.lines():
        typer.echo(line)
    say(f"page: {page}")
    if to is not None:
        export_findings(found, to[1], images=images, most=most)


@app.command()
@_plain_errors()
def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Write report/index.html and report/summary.json anew."""
    from wsseg.quality.run_report import report_run

    typer.echo(report_run(run))


@app.command()
@_plain_errors()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Runs, seeds of one recipe are averaged; or the YAML file of a study."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for an HTML page.")] = None,
) -> None:
    """Print weak supervision against the full-supervision upper bound."""
    from wsseg.quality.run_report import compare_runs
    from wsseg.study import run_study

    found: list[Path] = []
    for path in runs:
        is_study = path.suffix in {".yaml", ".yml"}
        found += run_study(_found(path), _run) if is_study else [path]
    for line in compare_runs(found, out):
        typer.echo(line)


def _run(settings: Config, beside: Path) -> None:
    _pipeline(settings, beside).main(settings)


@app.command()
@_plain_errors()
def simulate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set with full masks.")],
    out: Annotated[Path, typer.Argument(help="JSON Lines file to write, such as points.jsonl.")],
    *,
    kinds: Annotated[
        str | None,
        typer.Option(
            help="What every image gets: tags, boxes, extremes, points, scribbles, blocks or masks;"
            " such as boxes,points."
        ),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(help="Shares of the images, such as boxes=0.6,points+tags=0.3,nothing=0.1."),
    ] = None,
    split: Annotated[str, typer.Option(help="The split to annotate.")] = "train",
    length: Annotated[float, typer.Option(help="Share of every scribble that is kept.")] = 1.0,
    jitter: Annotated[
        float, typer.Option(help="Edges of boxes move by up to this share of the side.")
    ] = 0.0,
    background_points: Annotated[int, typer.Option(help="Clicks on the background.")] = 1,
    points_per: Annotated[str, typer.Option(help="Click on every object, or class.")] = "object",
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; one a core.", min=1)] = None,
    format_: Annotated[str, typer.Option("--format", help="voc, coco, jsonl, auto.")] = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Draw weak annotations from full masks: what would scribbles have given?"""
    from wsseg.annotations.simulate import Hand
    from wsseg.annotations.simulated import read_kinds, read_mix, simulate_dataset

    if (kinds is None) == (mix is None):
        got = "neither" if kinds is None else "both"
        raise InputError("simulate", "called with --kinds or --mix", got, "give one of them")
    shares = {read_kinds(kinds): 1.0} if kinds is not None else read_mix(mix or "")
    hand = Hand(length, jitter, background_points, points_per)
    done = simulate_dataset(
        *(dataset, out, shares, hand),
        split=split,
        format=format_,
        seed=seed,
        workers=workers,
        overwrite=overwrite,
    )
    for line in done.lines():
        typer.echo(line)


def main() -> None:
    """Run the command line; what stops it is one line on stderr, bad input exit code 2."""
    app()


def run_script(pipeline: Callable[[Config], None]) -> None:
    """Run a pipeline script with the arguments it was called with: CONFIG [key=value ...].

    Args:
        pipeline: Its ``main``.
    """
    with _plain_errors():
        if len(sys.argv) < 2:
            remedy = f"call python {sys.argv[0]} configs/demo_boxes.yaml"
            raise InputError("CONFIG", "a YAML file", "nothing", remedy)
        # what runs is this script, whatever the file was written for
        overrides = [*sys.argv[2:], f"pipeline={Path(sys.argv[0]).stem}"]
        pipeline(load_config(Path(sys.argv[1]), overrides))


def _pipeline(config: Config, beside: Path) -> Any:
    """Return the module of a pipeline: shipped with wsseg, or a script of the user's own."""
    path = _script(config.pipeline, beside)
    spec = importlib.util.spec_from_file_location(f"wsseg_pipeline_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"pipeline {path}", "a Python script", path.suffix, "name a .py file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "main"):
        raise InputError(f"pipeline {path}", "a script with main(config)", "none", "define it")
    return module


def _script(name: str, beside: Path) -> Path:
    own = [Path(name), beside / name] if name.endswith(".py") else []
    for path in [*own, *(folder / f"{name}.py" for folder in _shipped("pipelines"))]:
        if path.is_file():
            return path
    known = sorted(path.stem for folder in _shipped("pipelines") for path in folder.glob("*.py"))
    rule = f"one of {', '.join(known)}, or the path of a script"
    raise InputError("pipeline", rule, repr(name), "choose one of them")


def _found(config: Path) -> Path:
    """A config of the user's own, else the shipped one: ``configs/x.yaml`` or ``x.yaml``."""
    if config.is_file() or config.parent not in (Path(), Path("configs")):
        return config
    shipped = [folder / config.name for folder in _shipped("configs")]
    return next((path for path in shipped if path.is_file()), config)


def _shipped(folder: str) -> list[Path]:
    """Where pipelines and configs lie: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return [package / folder, package.parent / folder]
