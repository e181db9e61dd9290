"""Data flows one way through the rooms, and hidden truth only reaches what measures."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "wsseg"
TRUTH = "wsseg.data.truth"
SEES_TRUTH = tuple(PACKAGE / "annotations" / name for name in ("truth.py", "simulated.py"))
FLOOR = ("errors", "opening", "images", "labels", "plugins")
ROOMS = (
    *("annotations", "refine", "learning", "seeds", "segmenter", "cleaning", "tags", "rounds"),
    *("selection", "finetune", "export", "audit", "quality", "study", "doctor", "cli"),
)
FOR_RUN = ("wsseg.errors", "wsseg.labelmaps", "wsseg.data.model", "wsseg.runs")


def modules(folder):
    paths = sorted(folder.rglob("*.py"))
    assert paths, f"no module in {folder}"
    return paths


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


def room_of(name):
    """The room of an imported name, empty where it is the package itself."""
    first = name.removeprefix("wsseg.").split(".")[0]
    is_room = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").is_file()
    return first if within(name, "wsseg") and name != "wsseg" and is_room else ""


def named(path):
    return path.relative_to(REPOSITORY).as_posix()


def test_rooms_are_known():
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules(PACKAGE)}
    assert found - {"__init__"} <= {*FLOOR, *ROOMS, "run"}


@pytest.mark.parametrize("path", modules(PACKAGE), ids=named)
def test_rooms_import_only_rooms_before_them(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = {room_of(name) for name in imports(path.read_text())} - {""}
    if room == "run":
        foreign = [name for name in imports(path.read_text()) if room_of(name)]
        assert all(any(within(name, allowed) for allowed in FOR_RUN) for name in foreign)
    elif room in FLOOR:
        assert used <= {*FLOOR[: FLOOR.index(room)]}
    elif room != "__init__":
        assert used <= {*FLOOR, "run", *ROOMS[: ROOMS.index(room) + 1]}


@pytest.mark.parametrize("path", modules(PACKAGE), ids=named)
def test_only_quality_and_simulation_import_hidden_truth(path):
    allowed = path in SEES_TRUTH or path.parent == PACKAGE / "quality"
    uses = [name for name in imports(path.read_text()) if within(name, TRUTH)]
    assert allowed or not uses


@pytest.mark.parametrize("path", modules(REPOSITORY / "pipelines"), ids=named)
def test_package_never_imports_a_pipeline(path):
    users = [
        named(module)
        for module in modules(PACKAGE)
        for name in imports(module.read_text())
        if within(name, f"pipelines.{path.stem}") or within(name, f"wsseg.pipelines.{path.stem}")
    ]
    assert users == []


def test_imports_are_found_wherever_they_stand():
    source = "import a.b\ndef f():\n    from c import d\n"
    assert list(imports(source)) == ["a.b", "c", "c.d"]
