"""The library knows no runs, packages import in one direction, and few modules read truth."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "wsseg"
LIBRARY = (
    *("errors", "params", "files", "safe_io", "images", "labelmaps", "plugins", "parallel"),
    *("data", "synthetic", "seeds", "refine", "cleaning", "networks", "metrics"),
)
PIPELINE = ("runs", "stages", "report", "cli", "api")
TRUTH = "wsseg.data.truth"
READS_TRUTH = ("data/truth", "synthetic/simulate", "report/", "stages/measure", "stages/declared")
READS_TRUTH += ("stages/thresholds", "api")


def modules(folder=PACKAGE):
    paths = sorted(folder.rglob("*.py"))
    assert paths, f"no module in {folder}"
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}


def imports(source):
    """Every module that a source imports, each name of ``from a import b`` as ``a.b`` too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (
                name for a in node.names for name in (node.module, f"{node.module}.{a.name}")
            )


def within(name, package):
    return name == package or name.startswith(f"{package}.")


def package_of(module):
    return module.split("/")[0]


def test_every_module_belongs_to_one_half():
    packages = {package_of(module) for module in modules()}
    assert packages - {"__init__"} <= {*LIBRARY, *PIPELINE}


def test_the_library_imports_no_run_stage_report_or_command():
    offenders = {
        name
        for name, path in modules().items()
        if package_of(name) in LIBRARY
        for used in imports(path.read_text())
        if any(within(used, f"wsseg.{package}") for package in PIPELINE)
    }
    assert offenders == set()


def test_hidden_truth_reaches_only_modules_that_measure():
    offenders = [
        name
        for name, path in modules().items()
        if not name.startswith(READS_TRUTH)
        if any(within(used, TRUTH) for used in imports(path.read_text()))
    ]
    assert offenders == []


def test_the_package_imports_no_pipeline_script():
    scripts = [
        f"{prefix}pipelines.{s}"
        for s in modules(REPOSITORY / "pipelines")
        for prefix in ("", "wsseg.")
    ]
    offenders = [
        (name, script)
        for name, path in modules().items()
        for used in imports(path.read_text())
        for script in scripts
        if within(used, script)
    ]
    assert offenders == []


def test_imports_are_found_wherever_they_stand():
    source = "import a.b\ndef f():\n    from c import d\n"
    assert list(imports(source)) == ["a.b", "c", "c.d"]
