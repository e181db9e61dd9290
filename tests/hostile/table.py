"""Generate the table of docs/hostile.md from the test cases.

``PYTHONPATH=tests python -m hostile.table`` updates the page.
"""

from pathlib import Path

from hostile.cases import ANY_FILE, CASES
from hostile.changes import OUTCOMES
from hostile.run_cases import RUNS, SETTINGS_FILES, WEIGHTS

PAGE = Path(__file__).parents[2] / "docs" / "hostile.md"
BEGIN, END = "<!-- made by tests/hostile/table.py -->\n", "<!-- to here -->\n"


def table():
    """Return all cases as Markdown."""
    return "\n".join(_lines()) + "\n"


def page(text):
    """Return the page with an updated table."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def _lines():
    for title, cases in CASES.items():
        yield from _head(title, "format")
        for case in cases:
            said = f"`{case.says}`" if case.says else ""
            noted = ", and reported" if case.says and case.code == 0 else ""
            yield _row(case.tried, case.format, OUTCOMES[case.code] + noted, said)
    yield from _head("Any file with annotations is", "format")
    for tried in ANY_FILE:
        yield _row(tried, "all", "reported or ignored; never waited for", "")
    yield from _head("First stage of a run", "format")
    for run in RUNS:
        skipped = "skipped" if run.aside else "left out"
        outcome = OUTCOMES[2] if run.aside is None else f"{skipped}, the rest is labelled"
        yield _row(run.tried, run.format, outcome, f"`{run.says}`")
    yield from _head("Settings", "")
    yield from (_row(tried, "", OUTCOMES[2], "") for tried in SETTINGS_FILES)
    yield from _head("Weights, model.ckpt and last.ckpt", "")
    yield from (_row(tried, "", "refused, nothing is unpickled", "") for tried in WEIGHTS)


def _head(title, second):
    yield from ("", _row(title, second, "result", "message"), "|---|---|---|---|")


def _row(*cells):
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
