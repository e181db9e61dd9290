import pytest

kernels = pytest.importorskip("wsseg.refine.crf.kernels")


def test_without_a_place_for_the_cache_it_still_compiles(monkeypatch):
    njit = kernels.njit

    def refusing(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(kernels, "njit", refusing)
    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR to a folder"):
        double = kernels.kernel(lambda x: 2 * x)
    assert double(21) == 42
