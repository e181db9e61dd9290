"""Functions of other packages, found by their entry points."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from wsseg.errors import InputError

T = TypeVar("T")


def find_named(setting: str, name: str, own: Mapping[str, T], group: str) -> T:
    """Return the object of a name, from this package or from an installed plug-in.

    Args:
        setting: The configuration key that contains the name, used in errors.
        own: Objects of this package by name, which take precedence.
        group: Entry point group.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    if name in own:
        return own[name]
    plugin = find_plugin(name, group)
    if plugin is None:
        raise unknown_name(setting, name, own, group)
    loaded: T = load_plugin(plugin)
    return loaded


def load_plugin(plugin: EntryPoint) -> Any:
    """Return the object of an entry point.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        return plugin.load()
    except Exception as error:  # an import can raise anything
        rule, got = f"{plugin.value} of an importable package", repr(error)
        raise InputError(
            f"plug-in {plugin.name!r}", rule, got, "repair or remove its package"
        ) from error


def find_plugin(name: str, group: str) -> EntryPoint | None:
    """Return an entry point that is not loaded yet, None if no installed package has it."""
    return next((plugin for plugin in entry_points(group=group) if plugin.name == name), None)


def plugin_key(plugin: EntryPoint) -> list[Any]:
    """Return the name, object, package and version that results of a plug-in depend on."""
    package = [plugin.dist.name, plugin.dist.version] if plugin.dist else []
    return [plugin.name, plugin.value, *package]


def unknown_name(setting: str, name: str, own: Iterable[str], group: str) -> InputError:
    """Return the error for an unknown name, with a message that lists the choices.

    Args:
        setting: The configuration key that contains the name.
        own: Names of this package.
        group: Entry point group.
    """
    choices = ", ".join([*own, *sorted(plugin.name for plugin in entry_points(group=group))])
    return InputError(setting, "a known name", repr(name), f"choose one of {choices}")


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Return whether a function has a parameter of a name."""
    return argument in inspect.signature(function).parameters
