"""What other packages add by entry points, looked up beside what this one has."""

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from wsseg.errors import InputError

T = TypeVar("T")


def find_named(setting: str, name: str, own: Mapping[str, T], group: str) -> T:
    """Return what a name stands for.

    Args:
        setting: The key of a configuration that holds the name; for errors.
        name: Such as "grabcut".
        own: What this package has by name; it goes first.
        group: Of entry points.

    Returns:
        It, loaded.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    if name in own:
        return own[name]
    plugin = find_plugin(name, group)
    if plugin is None:
        raise unknown_name(setting, name, own, group)
    found: T = load_plugin(plugin)
    return found


def load_plugin(plugin: EntryPoint) -> Any:
    """Return what an entry point of an installed package stands for.

    Args:
        plugin: Of ``find_plugin``.

    Returns:
        The object.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        return plugin.load()
    except Exception as error:  # an import can fail with anything
        rule, got = f"{plugin.value} of an importable package", repr(error)
        raise InputError(
            f"plug-in {plugin.name!r}", rule, got, "mend or remove its package"
        ) from error


def find_plugin(name: str, group: str) -> EntryPoint | None:
    """Return an entry point.

    Args:
        name: Its name.
        group: Its group.

    Returns:
        It, not loaded; None where no installed package has it.
    """
    return next((plugin for plugin in entry_points(group=group) if plugin.name == name), None)


def plugin_key(plugin: EntryPoint) -> list[Any]:
    """Return what a result depends on that a plug-in made.

    Args:
        plugin: Of ``find_plugin``.

    Returns:
        Its name, its object, and the name and version of its package.
    """
    package = [plugin.dist.name, plugin.dist.version] if plugin.dist else []
    return [plugin.name, plugin.value, *package]


def unknown_name(setting: str, name: str, own: Iterable[str], group: str) -> InputError:
    """Return the error for a name that nothing has.

    Args:
        setting: The key of a configuration that holds the name.
        name: The name.
        own: Names of this package.
        group: Of entry points.

    Returns:
        An error whose message lists the choices.
    """
    choices = ", ".join([*own, *sorted(plugin.name for plugin in entry_points(group=group))])
    return InputError(setting, "a known name", repr(name), f"choose one of {choices}")
