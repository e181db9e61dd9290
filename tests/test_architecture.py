"""The rules of docs/architecture.md: two halves, parameters declared once, truth only measures."""

import ast
from pathlib import Path

from wsseg.params import Params
from wsseg.runs.config import Config

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "wsseg"
LIBRARY = (
    *("errors", "params", "files", "safe_io", "labelmaps", "plugins", "parallel"),
    *("bands", "image_kinds", "images", "tiff"),
    *("data", "synthetic", "seeds", "refine", "cleaning", "networks", "foundation", "metrics"),
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


def test_every_parameter_class_is_declared_once_and_is_the_settings_group():
    declared = {}
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Params", "Settings")):
                bases = [ast.unparse(base) for base in node.bases]
                assert node.name == "Params" or any(b.endswith("Params") for b in bases), node.name
                assert node.name not in declared, (node.name, module, declared[node.name])
                declared[node.name] = module
    groups = [field.annotation for field in Config.model_fields.values()]
    groups = [group for group in groups if isinstance(group, type) and issubclass(group, Params)]
    assert len(groups) >= 10
    assert {declared[group.__name__] for group in groups}.isdisjoint({"runs/config", "params"})
