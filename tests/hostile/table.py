"""The table of docs/hostile.md, made of the cases that are tested.

``PYTHONPATH=tests python -m hostile.table`` writes it anew.
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
    """Return the page with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def _lines():
    for title, cases in CASES.items():
        yield from _head(title, "format")
        for case in cases:
            said = f"`{case.says}`" if case.says else ""
            noted = ", and noted" if case.says and case.code == 0 else ""
            yield _row(case.tried, case.format, OUTCOMES[case.code] + noted, said)
    yield from _head("Any file that describes a data set is", "format")
    for tried in ANY_FILE:
        yield _row(tried, "all", "told, or counts as nothing; never waited for", "")
    yield from _head("First stage of a run", "format")
    for run in RUNS:
        aside = "set aside, the rest is labelled" if run.aside else "left out, the rest is labelled"
        outcome = OUTCOMES[2] if run.aside is None else aside
        yield _row(run.tried, run.format, outcome, f"`{run.says}`")
    yield from _head("Settings that are", "")
    yield from (_row(tried, "", OUTCOMES[2], "") for tried in SETTINGS_FILES)
    yield from _head("Weights, model.ckpt and last.ckpt that are", "")
    yield from (_row(tried, "", "refused, nothing is unpickled", "") for tried in WEIGHTS)


def _head(title, second):
    yield from ("", _row(title, second, "outcome", "what is said"), "|---|---|---|---|")


def _row(*cells):
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
