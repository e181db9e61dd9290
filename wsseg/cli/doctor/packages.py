"""Versions of Python and of packages, against what wsseg declares to need."""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement

from wsseg.cli.doctor.found import Found

_TOLD = ("torch", "torchvision", "lightning", "timm", "segmentation-models-pytorch", "numba")
_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def look(distribution: str = "wsseg") -> Iterator[Found]:
    """Yield what is wrong with the installed packages, and which extras are there.

    Args:
        distribution: Whose metadata say what is needed.

    Yields:
        Python, the packages, the extras, and what of OpenCV is installed.
    """
    try:
        about = metadata(distribution)
    except PackageNotFoundError:
        found = f"{distribution} is used from a folder, so that nothing says what it needs"
        yield Found("packages", "warning", found, "install it: pip install -e .")
        return
    needed = [Requirement(line) for line in about.get_all("Requires-Dist") or []]
    yield _python(str(about["Requires-Python"] or ""))
    yield from _core([need for need in needed if _is_wanted(need, "")])
    extras = about.get_all("Provides-Extra") or []
    yield _extras({extra: _of_extra(needed, extra, distribution) for extra in extras})
    yield from _opencv()


def _python(needed: str) -> Found:
    found, rule = platform.python_version(), Requirement(f"python{needed}")
    if rule.specifier.contains(found, prereleases=True):
        return Found("Python", "ok", found)
    return Found("Python", "problem", f"{found}, not {needed}", "use another Python")


def _core(needed: Iterable[Requirement]) -> Iterator[Found]:
    """One line for all that is well, and one for each package that is not."""
    wrong = {need.name: why for need in needed if (why := _wrong(need))}
    for name, why in wrong.items():
        yield Found(name, "problem", why, "pip install -c constraints.txt wsseg")
    told = [f"{name} {version(name)}" for name in _TOLD if name not in wrong]
    if not wrong:
        found = f"all as new as they must be: {', '.join(told)}"
        yield Found("packages", "ok", found)


def _extras(wrong: dict[str, list[str]]) -> Found:
    there = [extra for extra, why in wrong.items() if not why]
    lacking = [f"{extra} ({why[0]})" for extra, why in wrong.items() if why]
    found = f"there: {', '.join(there) or 'none'}; not there: {', '.join(lacking) or 'none'}"
    return Found("extras", "ok", found, "pip install 'wsseg[NAME]' adds one" if lacking else "")


def _of_extra(needed: Iterable[Requirement], extra: str, distribution: str) -> list[str]:
    """What an extra lacks; what it names of the distribution's own is listed there."""
    others = (need for need in needed if need.name != distribution)
    return [why for need in others if _is_wanted(need, extra) and (why := _wrong(need))]


def _is_wanted(need: Requirement, extra: str) -> bool:
    """Whether a requirement is one of an extra, or of the distribution itself."""
    if need.marker is None:
        return not extra
    alone = need.marker.evaluate({"extra": ""})
    return alone != bool(extra) and need.marker.evaluate({"extra": extra})


def _wrong(need: Requirement) -> str:
    try:
        found = version(need.name)
    except PackageNotFoundError:
        return f"{need.name} is not installed"
    if need.specifier.contains(found, prereleases=True):
        return ""
    return f"{need.name} {found}, not {need.specifier}"


def _opencv() -> Iterator[Found]:
    """More than one OpenCV share a folder, and removing one breaks the other."""
    there = [name for name in _OPENCV if _is_there(name)]
    if len(there) > 1:
        others = " ".join(name for name in there if name != "opencv-python-headless")
        found = f"{' and '.join(there)} overwrite each other's files"
        again = "pip install --force-reinstall --no-deps opencv-python-headless"
        yield Found("OpenCV", "warning", found, f"pip uninstall {others}; {again}")


def _is_there(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
