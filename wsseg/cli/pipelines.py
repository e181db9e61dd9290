"""Run pipelines from the command line."""

import sys
from collections.abc import Callable
from pathlib import Path

from wsseg.cli.doctor.machine import check_disk
from wsseg.cli.errors import plain_errors
from wsseg.errors import InputError
from wsseg.runs.config import Config, load_config
from wsseg.runs.progress import log
from wsseg.runs.recipes import run_pipeline


def run_and_report(config: Config, folder: Path) -> None:
    """Warn if the disk is almost full, run a pipeline, and print where the report is.

    Args:
        folder: Folder of the configuration's file.

    Raises:
        InputError: As ``run_pipeline``.
    """
    disk = check_disk(config.run_dir)
    if disk.state != "ok":
        log(f"warning: disk: {disk.message}; {disk.remedy}")
    run_pipeline(config, folder)
    log(f"report: {config.run_dir / 'report' / 'index.html'}")


def run_script(main: Callable[[Config], None]) -> None:
    """Run a pipeline script with the arguments it was called with: CONFIG [key=value ...]."""
    with plain_errors():
        if len(sys.argv) < 2:
            hint = f"call python {sys.argv[0]} configs/demo_boxes.yaml"
            raise InputError(f"{sys.argv[0]} needs a YAML file", hint=hint)
        # The script is what runs, whatever pipeline the file names.
        overrides = [*sys.argv[2:], f"pipeline={Path(sys.argv[0]).stem}"]
        main(load_config(Path(sys.argv[1]), overrides))
