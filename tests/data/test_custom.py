"""Annotations that other packages add."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers.builders import sample

from wsseg.data.annotation import Tags
from wsseg.data.classes import candidate_classes, tags_of
from wsseg.data.constraints import constraints_of
from wsseg.data.custom import CustomAnnotation
from wsseg.errors import InputError

SIZE = (8, 10)


@dataclass(frozen=True)
class Half(CustomAnnotation):
    label: int
    result: str = "left"

    def allowed(self, classes, size):
        if self.result == "wrong":
            return np.ones(size, bool)
        left = np.arange(size[1]) < size[1] // 2
        return np.broadcast_to((classes != self.label)[:, None, None] | left, (len(classes), *size))


def test_it_names_its_class():
    annotated = sample(Half(4), size=SIZE)
    assert candidate_classes(annotated, 5) == (0, 4)
    assert tags_of(annotated) == Tags((4,))


def test_it_allows_and_forbids():
    constraints = constraints_of(sample(Half(4), size=SIZE), 5)
    assert constraints.classes.tolist() == [0, 4]
    assert constraints.allowed[1, :, :5].all() and not constraints.allowed[1, :, 5:].any()


def test_a_result_of_another_shape_is_an_error():
    with pytest.raises(InputError, match=r"allowed of Half must be \(2, 8, 10\) bool"):
        constraints_of(sample(Half(4, "wrong"), size=SIZE), 5)
