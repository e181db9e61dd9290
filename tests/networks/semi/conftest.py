import pytest

from wsseg.networks.semi import views


@pytest.fixture
def plain_views(monkeypatch):
    """Strong views are equal to the weak ones."""
    for name in ("JITTER", "GRAYED", "BLURRED", "CUTMIX"):
        monkeypatch.setattr(views, name, 0.0)
