import numpy as np
import pytest

from wsseg.stages.finetune.unlabelled import nearest_distances


def test_distance_to_the_nearest_other_vector():
    vectors = np.array([[0, 0], [3, 4], [3, 5], [3, 5]], np.float32)
    assert nearest_distances(vectors) == pytest.approx([5, 1, 0, 0])
