import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch.nn.functional import avg_pool2d, interpolate, one_hot, pad

from wsseg.networks.losses.tree_energy import tree_energy
from wsseg.networks.losses.trees import spanning_forest

Edge = tuple[int, int, float]


def example(size=(6, 7), n_classes=3):
    """Logits, images and features of 5 channels."""
    generator = torch.Generator().manual_seed(0)

    def randoms(channels):
        return torch.rand(2, channels, *size, generator=generator, dtype=torch.float64)

    return 4 * randoms(n_classes), 0.3 * randoms(3), randoms(5)


def random_mask(size=(6, 7), seed=1, share=0.7):
    return torch.rand(2, *size, generator=torch.Generator().manual_seed(seed)) < share


def grid_edges(features, inside):
    """The edges of one grid (F, h, w) whose ends are both inside."""
    _, height, width = features.shape
    for y in range(height):
        for x in range(width):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < height and u < width and inside[y, x] and inside[v, u]:
                    length = float(((features[:, y, x] - features[:, v, u]) ** 2).sum())
                    yield y * width + x, v * width + u, length


def tree_edges(edges, count):
    """Edges of scipy's minimum spanning tree, where a length of 0 means no edge."""
    if not edges:
        return []
    ones, others, lengths = (np.array(each) for each in zip(*edges, strict=True))
    places = ones.astype(np.int32), others.astype(np.int32)  # all that scipy 1.15 takes
    graph = csr_array((lengths + 1, places), shape=(count, count))
    tree = minimum_spanning_tree(graph).tocoo()
    parts = (tree.row.tolist(), tree.col.tolist(), (tree.data - 1).tolist())
    return list(zip(*parts, strict=True))


def path_lengths(edges, count):
    """Sums over the path between every two pixels, walked from each; infinite without a path."""
    linked: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for one, other, length in edges:
        linked[one].append((other, length))
        linked[other].append((one, length))
    lengths = np.full((count, count), np.inf)
    for start in range(count):
        lengths[start, start], ahead = 0, [start]
        for pixel in ahead:
            for other, length in linked[pixel]:
                if np.isinf(lengths[start, other]):
                    lengths[start, other] = lengths[start, pixel] + length
                    ahead.append(other)
    return lengths


def mean_matrix(features, inside):
    """(n, n) by which a filter multiplies one image's values (n, K)."""
    edges = list(grid_edges(features.numpy(), inside.numpy()))
    weights = np.exp(-path_lengths(tree_edges(edges, inside.numel()), inside.numel()))
    return torch.from_numpy(weights / weights.sum(axis=1, keepdims=True))


def every_path(
    p,
    images,
    features,
    gate,
    inside,
    sigma=0.005,
    feature_sigma=1.0,
):
    """The definition, with the paths between all pixels."""
    total = p.new_zeros(())
    for b, rows in enumerate(p.flatten(2).mT):
        means = mean_matrix(images[b] / sigma**0.5, inside[b]) @ rows
        if features is not None:
            means = mean_matrix(features[b] / feature_sigma**0.5, inside[b]) @ means
        total = total + (rows - means).abs().sum(dim=1)[(gate & inside)[b].flatten()].sum()
    return total / max(1, int((gate & inside).sum()))


def gradient_of(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("with_features", [False, True])
@pytest.mark.parametrize("size", [(6, 7), (1, 9), (9, 1), (2, 2), (1, 1)])
def test_agrees_with_all_paths(size, with_features):
    logits, images, features = example(size)
    logits.requires_grad_()
    given = features if with_features else None
    everywhere, gate = torch.ones(2, *size).bool(), random_mask(size)
    inside = random_mask(size, seed=2, share=0.9)
    for mask, within in ((None, None), (gate, None), (None, inside), (gate, inside)):
        for widths in ({}, {"sigma": 0.3, "feature_sigma": 0.2}):
            found = tree_energy(logits, images, given, mask, inside=within, scale=1, **widths)
            masks = (everywhere if each is None else each for each in (mask, within))
            expected = every_path(logits.softmax(dim=1), images, given, *masks, **widths)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
            slopes = (gradient_of(loss, logits) for loss in (found, expected))
            torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-12)


def test_gradient():
    logits, images, features = example((5, 6))
    inside = random_mask((5, 6), share=0.9)

    def loss(x):
        return tree_energy(x, images, features, inside=inside, scale=1)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


def test_no_gradient_reaches_images_or_features():
    logits, images, features = (each.requires_grad_() for each in example())
    tree_energy(logits, images, features).backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0
    assert images.grad is None and features.grad is None


@pytest.mark.parametrize("size", [(40, 30), (1, 50), (3, 1)])
def test_trees_are_minimal(size):
    """Against scipy, for random lengths, in both images of a batch."""
    rng = np.random.default_rng(0)
    height, width = size
    down, right = rng.random((2, height - 1, width)), rng.random((2, height, width - 1))
    forest = spanning_forest(down, right, np.ones((2, *size), np.bool_))
    pixels = np.arange(2 * height * width, dtype=np.int32).reshape(2, height, width)
    ones = np.concatenate([pixels[:, :-1].ravel(), pixels[..., :-1].ravel()])
    others = np.concatenate([pixels[:, 1:].ravel(), pixels[..., 1:].ravel()])
    lengths = np.concatenate([down.ravel(), right.ravel()])
    graph = csr_array((lengths, (ones, others)), shape=(pixels.size, pixels.size))
    tree, is_root = minimum_spanning_tree(graph).tocoo(), np.isinf(forest.lengths)
    assert is_root.sum() == 2
    assert forest.lengths[~is_root].sum() == pytest.approx(tree.data.sum(), rel=1e-12)
    found = zip(forest.order, forest.order[forest.parents], strict=True)
    edges = {frozenset(map(int, edge)) for edge in found if edge[0] != edge[1]}
    assert edges == {frozenset(map(int, edge)) for edge in zip(tree.row, tree.col, strict=True)}


@pytest.mark.parametrize("lengths", ["equal", "few"])
def test_ties_still_give_spanning_trees_the_same_each_time(lengths):
    rng = np.random.default_rng(0)
    most = 1 if lengths == "equal" else 3
    down, right = (rng.integers(0, most, s).astype(float) for s in ((3, 8, 9), (3, 9, 8)))
    inside = rng.random((3, 9, 9)) < 0.8
    one, again = (spanning_forest(down, right, inside) for _ in range(2))
    for name in ("order", "parents", "lengths"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    # each pixel once, after its parent, and one root a piece
    np.testing.assert_array_equal(np.sort(one.order), np.arange(inside.size))
    is_root, places = np.isinf(one.lengths), np.arange(inside.size)
    assert (one.parents[~is_root] < places[~is_root]).all()
    np.testing.assert_array_equal(one.parents[is_root], places[is_root])
    features = np.zeros((1, 9, 9))
    pieces = 0
    for mask in inside:
        edges = [(a, b) for a, b, _ in grid_edges(features, mask)]
        ones, others = np.array(edges).T
        graph = csr_array((np.ones(len(edges)), (ones, others)), shape=(81, 81))
        pieces += connected_components(graph, directed=False)[0]
    assert is_root.sum() == pieces


def test_one_colour_gives_the_mean_of_the_image():
    logits, images, features = example()
    p = logits.softmax(dim=1)
    expected = (p - p.mean(dim=(2, 3), keepdim=True)).abs().sum(dim=1).mean()
    for flat in (torch.zeros_like(images), torch.full_like(images, 0.7)):
        found = tree_energy(logits, flat, torch.ones_like(features), scale=1)
        torch.testing.assert_close(found, expected)
        assert gradient_of(tree_energy(logits.requires_grad_(), flat), logits).isfinite().all()


def test_constant_predictions_cost_nothing():
    logits, images, features = example()
    constant = logits[..., :1, :1].expand_as(logits)
    assert tree_energy(constant, images, features).item() == pytest.approx(0, abs=1e-12)
    assert tree_energy(logits, images, features).item() > 0.01


def test_predictions_that_follow_image_edges_cost_less():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[..., 8:] = 1
    images = 0.2 + 0.6 * labels[:, None].expand(-1, 3, -1, -1).double()
    aligned, across, moved = (
        tree_energy(20 * one_hot(cut, 2).movedim(3, 1).double(), images).item()
        for cut in (labels, labels.mT, labels.roll(4, dims=2))
    )
    assert 0 <= aligned < 1e-6 and across == pytest.approx(1, rel=1e-3) and moved > 0.5


@pytest.mark.parametrize("scale", [2, 3])
def test_scale_averages_squares_and_shrinks_masks(scale):
    logits, images, _ = example((6, 12))
    gate, inside = random_mask((6, 12), share=0.95), random_mask((6, 12), seed=2, share=0.95)
    wholes = [avg_pool2d(mask.double(), scale) == 1 for mask in (gate, inside)]
    p = avg_pool2d(logits.softmax(dim=1), scale)
    expected = every_path(p, avg_pool2d(images, scale), None, *wholes)
    assert wholes[0].any() and expected > 0
    found = tree_energy(logits, images, None, gate, inside=inside, scale=scale)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("resized", [lambda x: x[..., ::2, ::2], lambda x: x.repeat(1, 1, 3, 3)])
def test_features_of_any_size(resized):
    logits, images, features = example((8, 8))
    given = resized(features)
    same = interpolate(given, (8, 8), mode="bilinear", antialias=True)
    found = tree_energy(logits, images, given, scale=1)
    torch.testing.assert_close(found, tree_energy(logits, images, same, scale=1))
    assert found != tree_energy(logits, images, scale=1)


@pytest.mark.parametrize("before", [0, 4])
def test_padding_changes_nothing(before):
    logits, images, features = example((6, 8))
    margins = (before, 2, before, 4)
    inside = pad(torch.ones(2, 6, 8), margins).bool()
    more = pad(logits, margins, value=5).requires_grad_()
    filled = pad(images, margins, value=0.1), pad(features, margins)
    for scale in (1, 2):
        given = (features, filled[1]) if scale == 1 else (None, None)  # no resizing into padding
        expected = tree_energy(logits.requires_grad_(), images, given[0], scale=scale)
        found = tree_energy(more, filled[0], given[1], inside=inside, scale=scale)
        torch.testing.assert_close(found, expected)
        slope = gradient_of(found, more)
        within = slope.movedim(1, 3)[inside].view(2, 6, 8, 3).movedim(3, 1)
        torch.testing.assert_close(within, gradient_of(expected, logits))
        assert slope.movedim(1, 3)[~inside].abs().sum() == 0


def test_pixels_outside_the_gate_still_give():
    """Labelled pixels do not count, but they reach others, and are reached by the gradient."""
    logits, images = torch.zeros(1, 2, 1, 3), torch.zeros(1, 3, 1, 3)
    logits[0, 0, 0, 0] = 100
    gate = torch.tensor([[[False, True, True]]])
    value = tree_energy(logits.requires_grad_(), images, None, gate, scale=1)
    # the mean of (1, 0), (1/2, 1/2), (1/2, 1/2) is (2/3, 1/3)
    assert value.item() == pytest.approx(2 * (2 / 3 - 1 / 2), rel=1e-5)
    unsure = (logits.detach() / 100).requires_grad_()
    slope = gradient_of(tree_energy(unsure, images, None, gate, scale=1), unsure)
    # what is sure pulls the others' means away from them, and less so if it is less sure
    assert slope[0, 0, 0, 0] > 0 > slope[0, 0, 0, 1:].max()


@pytest.mark.parametrize("scale", [1, 2])
def test_empty_gate_is_zero_with_zero_gradient(scale):
    logits, images, features = example()
    nothing = torch.zeros(2, 6, 7, dtype=torch.bool)
    for masks in ({"gate": nothing}, {"inside": nothing}):
        value = tree_energy(logits.requires_grad_(), images, features, scale=scale, **masks)
        assert value.item() == 0 and gradient_of(value, logits).abs().sum() == 0


@pytest.mark.parametrize("side", [2, 3])
def test_flips_with_the_image(side):
    logits, images, features = example((6, 8))
    gate = random_mask((6, 8))
    flipped = tree_energy(*(x.flip(side) for x in (logits, images, features)), gate.flip(side - 1))
    torch.testing.assert_close(flipped, tree_energy(logits, images, features, gate))


def test_half_precision_computes_in_float32():
    logits, images, features = example()
    half, given = logits.bfloat16(), features.bfloat16()
    expected = tree_energy(half.float(), images.float(), given.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tree_energy(half.requires_grad_(), images.float(), given)
    found.backward()
    assert found.dtype == torch.float32 and half.grad is not None and half.grad.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inputs_stay_as_they_were():
    given = (*example(), random_mask())
    before = [tensor.clone() for tensor in given]
    tree_energy(*given, inside=given[3])
    for tensor, copy in zip(given, before, strict=True):
        assert torch.equal(tensor, copy)
