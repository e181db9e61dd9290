"""Check the versions of Python and of the packages against the requirements of wsseg."""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement

from wsseg.cli.doctor.check import Check

_SHOWN = ("torch", "torchvision", "lightning", "timm", "segmentation-models-pytorch", "numba")
_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)


def check_packages(distribution: str = "wsseg") -> Iterator[Check]:
    """Yield Python, the packages that do not fit, the extras, and duplicates of OpenCV.

    Args:
        distribution: The distribution whose metadata state the requirements.
    """
    try:
        about = metadata(distribution)
    except PackageNotFoundError:
        message = f"{distribution} is not installed, so its requirements are unknown"
        yield Check("packages", "warning", message, "pip install -e .")
        return
    requirements = [Requirement(line) for line in about.get_all("Requires-Dist") or []]
    yield _check_python(str(about["Requires-Python"] or ""))
    yield from _check_core([need for need in requirements if _belongs_to(need, "")])
    problems = {
        extra: [
            problem
            for need in requirements
            # an extra that names other extras of the same distribution is checked through them
            if need.name != distribution and _belongs_to(need, extra)
            if (problem := _problem(need))
        ]
        for extra in about.get_all("Provides-Extra") or []
    }
    yield _check_extras(problems)
    yield from _check_opencv()


def _check_python(needed: str) -> Check:
    installed = platform.python_version()
    if Requirement(f"python{needed}").specifier.contains(installed, prereleases=True):
        return Check("Python", "ok", installed)
    return Check("Python", "problem", f"{installed}, not {needed}", "use another Python")


def _check_core(needed: Iterable[Requirement]) -> Iterator[Check]:
    """Yield a line for each package that does not fit, or one line for all."""
    problems = {need.name: problem for need in needed if (problem := _problem(need))}
    for name, problem in problems.items():
        yield Check(name, "problem", problem, "pip install -c constraints.txt wsseg")
    if not problems:
        versions = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
        yield Check("packages", "ok", f"all requirements are met: {versions}")


def _check_extras(problems: dict[str, list[str]]) -> Check:
    complete = [extra for extra, missing in problems.items() if not missing]
    lacking = [f"{extra} ({missing[0]})" for extra, missing in problems.items() if missing]
    message = f"installed: {', '.join(complete) or 'none'}; missing: {', '.join(lacking) or 'none'}"
    return Check("extras", "ok", message, "pip install 'wsseg[NAME]' adds one" if lacking else "")


def _belongs_to(need: Requirement, extra: str) -> bool:
    """True if a requirement belongs to an extra; to no extra if that is empty."""
    if need.marker is None:
        return not extra
    without = need.marker.evaluate({"extra": ""})
    return without != bool(extra) and need.marker.evaluate({"extra": extra})


def _problem(need: Requirement) -> str:
    if not (installed := _version(need.name)):
        return f"{need.name} is not installed"
    fits = need.specifier.contains(installed, prereleases=True)
    return "" if fits else f"{need.name} {installed}, not {need.specifier}"


def _check_opencv() -> Iterator[Check]:
    """Several OpenCV packages share one folder, so removing one breaks the others."""
    installed = [name for name in _OPENCV if _version(name)]
    if len(installed) > 1:
        others = " ".join(name for name in installed if name != "opencv-python-headless")
        message = f"{' and '.join(installed)} overwrite each other's files"
        again = "pip install --force-reinstall --no-deps opencv-python-headless"
        yield Check("OpenCV", "warning", message, f"pip uninstall {others}; {again}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
