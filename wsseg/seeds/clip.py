"""Activation maps of tags by CLIP, which knows classes by their names: no classifier is trained."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import Example
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.foundation.clip import phrases_of, text_features, text_maps
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import FoundationWeights
from wsseg.refine.affinity import grid_size
from wsseg.seeds.params import CAMParams, CLIPParams


def clip_maps(
    example: Example,
    labels: tuple[int, ...],
    *,
    classes: Classes,
    params: CAMParams,
    weights: FoundationWeights,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return where CLIP finds the tags of an image, each against the others and the background.

    Args:
        labels: T of the classes 1 to K, the tags of the image.
        weights: Of a model of the family "CLIP".
        device: As ``machine.device``.

    Returns:
        (T, h, w) float32 of at least 0, in the order of the labels; one cell covers as many pixels
        as those of the maps of classifiers.

    Raises:
        InputError: The weights do not fit, or ``cam.clip`` names unknown classes or nothing of the
            background.

    References:
        Lin et al., CLIP is Also an Efficient Segmenter (CLIP-ES), CVPR 2023, arXiv:2212.09506.
    """
    size = grid_size(example.sample.size)
    if not labels:
        return np.zeros((0, *size), np.float32)
    phrases = phrases_of_classes(classes, params.clip)
    loaded = load_model(weights, device, "eager")
    background = range(len(classes) - 1, len(phrases))
    chosen = [*(label - 1 for label in labels), *background]
    texts = text_features(loaded, phrases)[chosen]
    return resize_maps(text_maps(loaded, example.image, texts, len(labels)), size)


def phrases_of_classes(classes: Classes, params: CLIPParams) -> tuple[tuple[str, ...], ...]:
    """Return the phrases of the classes 1 to K, and then those of the background.

    Raises:
        InputError: ``names`` has a class that the data set does not have, or no word of the
            background is left.
    """
    check_names(classes, params.names, "cam.clip.names")
    named = phrases_of(classes.names[1:], params.names, params.prompt)
    words = {*classes.names, *(word for of_one in params.names.values() for word in of_one)}
    known = {word.casefold() for word in words}
    background = [word for word in params.background if word.casefold() not in known]
    if not background:
        rule = "words that are no classes of the data set"
        got = ", ".join(params.background) or "nothing"
        raise InputError("cam.clip.background", rule, got, "name what images show besides")
    return named + phrases_of(background, {}, params.prompt)


def check_names(classes: Classes, names: Iterable[str], setting: str) -> None:
    """Raise an InputError if a setting names a class that the data set does not have."""
    if unknown := sorted({*names} - {*classes.names[1:]}):
        rule = f"names of classes ({', '.join(classes.names[1:])})"
        raise InputError(setting, rule, repr(unknown[0]), "correct it")


def resize_maps(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return maps (T, h, w) of at least one class, resized to ``size`` (h', w')."""
    mode = cv2.INTER_AREA if size[0] < maps.shape[1] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(m, size[::-1], interpolation=mode) for m in maps])
