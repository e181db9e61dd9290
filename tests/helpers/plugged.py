"""Plug-ins of packages that are not installed."""

from importlib.metadata import EntryPoint

from wsseg import plugins


def plug_in(monkeypatch, group, loaded):
    """Make an object the plug-in "mine" of a group of entry points."""

    def found(**query):
        assert query == {"group": group}
        return (EntryPoint("mine", "package:object", group),)

    monkeypatch.setattr(plugins, "entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", lambda _: loaded)
