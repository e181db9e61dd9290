import numpy as np
import pytest

simd = pytest.importorskip("wsseg.refine.crf.simd")


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_rows_are_one_value(lanes):
    """Each operation on every row, and nothing beyond the rows."""
    rng = np.random.default_rng(lanes)
    one, other = rng.normal(size=(2, 5, lanes)).astype(np.float32)
    before, each = one.copy(), (0,) * lanes

    @simd.kernel
    def all_of_them(one, other, figures, each):
        simd.add_scaled(one, 1, np.float32(2), other, 4, each)
        simd.rescale(one, 2, np.float32(3), np.float32(-1), each)
        simd.blur_row(one, other, 3, 0, 1, each)
        figures[0] = simd.row_sum(other, 2, each)
        figures[1] = simd.row_max(other, 2, each)

    figures = np.zeros(2, np.float32)
    all_of_them(one, other, figures, each)
    expected = before.copy()
    expected[1] += 2 * other[4]
    expected[2] = 3 * expected[2] - 1
    expected[3] = other[3] + (other[0] + other[1]) / 2
    np.testing.assert_allclose(one, expected, rtol=1e-6)
    np.testing.assert_array_equal(one[[0, 4]], before[[0, 4]])
    np.testing.assert_allclose(figures, [other[2].sum(), other[2].max()], rtol=1e-6)


def test_without_a_place_for_the_cache_it_still_compiles(monkeypatch):
    njit = simd.njit

    def refusing(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(simd, "njit", refusing)
    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR to a folder"):
        double = simd.kernel(lambda x: 2 * x)
    assert double(21) == 42
