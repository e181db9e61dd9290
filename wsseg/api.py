"""The functions behind ``import wsseg`` that combine several modules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg import cleaning
from wsseg.data.example import Example
from wsseg.data.formats.fitting import View
from wsseg.data.formats.table import read_raw
from wsseg.data.formats.views import view
from wsseg.data.load import lay_over, prepare
from wsseg.data.model import Dataset
from wsseg.data.params import DataParams
from wsseg.data.truth import read_truth as load_truth
from wsseg.labelmaps import overlay
from wsseg.params import Params
from wsseg.refine.params import CleaningParams
from wsseg.refine.refiners import Refine
from wsseg.runs.run import Run
from wsseg.seeds.apply import Seed, find_seed, group_of_seed
from wsseg.seeds.params import SeedParams

if TYPE_CHECKING:
    from wsseg.networks.prediction import Segmenter

__all__ = ["clean", "load_dataset", "load_segmenter", "load_truth", "seed", "show"]


def load_dataset(
    root: str | Path,
    format: str = "auto",
    *,
    weak: View = "all",
    annotations: Sequence[str | Path] = (),
    bands: Sequence[int] | None = None,
    range: Literal["auto", "percentile"] | tuple[float, float] = "auto",
    classes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    split: float | None = None,
    group: str | None = None,
) -> Dataset:
    """Return the images of a folder with their weak annotations; no pixel is decoded.

    Args:
        root: Folder in a format that wsseg reads, such as Pascal VOC, COCO, YOLO or CVAT.
        format: Name of the format, such as "voc"; "auto" detects it.
        weak: Annotations to use: "all" (except full masks), "boxes", "tags", "masks" or
            "none".
        annotations: Annotation files that are laid over the data set.
        bands: Bands that become red, green and blue, for images of two or more than three.
        range: Values of images of more than 8 bits that become 0 and 255, see ``ImageParams``.
        classes: Names of classes to use, or new names with lists of old ones, as ``data.classes``.
        split: Share of the images to hold out as the split "val" if there is none, as
            ``data.split``.
        group: Images that ``split`` keeps together, as ``data.group``.

    Returns:
        The data set with ``len(ds)``, ``ds[0]``, ``ds.split("train")`` and ``ds.classes``. Unusable
        images are left out and listed in ``ds.problems``.

    Raises:
        InputError: The folder is of no known format, a file that describes it is damaged, one of
            ``classes`` is unknown, or ``split`` is set and there is a validation split.

    Example:
        >>> from wsseg.synthetic.scenes import write_scenes
        >>> root = getfixture("tmp_path") / "scenes"
        >>> write_scenes(root, train=2, val=1, seed=0)
        >>> ds = load_dataset(root)
        >>> len(ds), len(ds.split("train")), ds.classes.names[:2]
        (3, 2, ('background', 'disc'))
        >>> example = ds[0].example()
        >>> example.image.shape[:2] == ds[0].size
        True
    """
    values = {"classes": classes, "split": split, "group": group, "annotations": annotations}
    data = DataParams(root=Path(root), bands=bands, range=range, **values)
    raw = prepare(read_raw(Path(root), format), data)
    return lay_over(view(raw, weak), data, raw.files_classes)


def seed(
    example: Example,
    name: str | Callable[..., NDArray[np.uint8]] = "auto",
    *,
    rng: np.random.Generator | int = 0,
    **params: Any,
) -> NDArray[np.uint8]:
    """Return the first label map of an image, made from its weak annotations by one method.

    "Seed" is the literature's word for such a label map, from which training starts. Labels that
    contradict the annotations are corrected: a pixel whose class is known gets it, another label
    that is not allowed becomes IGNORE.

    Args:
        example: An image with its constraints, as ``ds[0].example()`` returns it.
        name: Name of a method, such as "grabcut", "box" or that of a plug-in; "auto" chooses by the
            annotations. Or a function ``f(example, **params) -> label_map``, which also gets
            ``rng`` if it has an argument of this name.
        rng: Generator of all random numbers, or the random seed of one.
        **params: Parameters of the method: fields of ``GrabCutParams`` for the three methods with
            "grabcut" in their name, of ``BoxInnerParams`` for "box_inner", of ``SamParams`` for
            "sam", such as ``model="sam2.1-tiny"``, and of ``SeedParams`` for all others, such as
            ``folder=...`` for "folder".

    Returns:
        (H, W) uint8 label map; IGNORE (255) where the label is uncertain.

    Raises:
        InputError: The name or a parameter is unknown, a box reaches beyond the image, or the
            method returns another shape or dtype.

    Example:
        >>> from wsseg.synthetic.scenes import write_scenes
        >>> root = getfixture("tmp_path") / "scenes"
        >>> write_scenes(root, train=1, val=1, seed=0)
        >>> example = load_dataset(root)[0].example()
        >>> labels = seed(example, "grabcut", iterations=2)
        >>> labels.shape == example.image.shape[:2]
        True
        >>> example.constraints.allows(labels).all().item()
        True
    """
    if callable(name):
        chosen = Seed(getattr(name, "__name__", "seed"), name, params)
    else:
        group = group_of_seed(name)
        kind = SeedParams.model_fields.get(group)
        nested = kind is not None and isinstance(kind.default, Params)
        chosen = find_seed(SeedParams(name=name, **({group: params} if nested else params)))
    return chosen(example, np.random.default_rng(rng))


def clean(
    scores: NDArray[np.floating],
    example: Example,
    first_labels: NDArray[np.uint8],
    *,
    refine: Refine | None = None,
    refined_weight: float = 0.5,
    **params: Any,
) -> NDArray[np.uint8]:
    """Return predictions corrected by the annotations: the labels of the next round.

    Args:
        scores: (C, H, W) probabilities over ``example.constraints.classes``.
        first_labels: (H, W) uint8 label map of the seed, IGNORE where unknown. It is averaged with
            the scores, and boxes without support return to it.
        refine: ``f(image, scores, *, allowed) -> scores``; None is ``dense_crf``.
        refined_weight: Share (0..1) of the refined scores in their average. Runs use 0.5 in the
            first round and 0.4 later.
        **params: Parameters of the rules, the settings of ``rounds``: ``first_weight``,
            ``box_gap``, ``reset_iou``, ``min_island``.

    Returns:
        (H, W) uint8 label map that the constraints allow.

    Raises:
        InputError: Sizes differ, scores are negative or not finite, or a parameter is unknown.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485.

    Example:
        >>> from wsseg.synthetic.scenes import write_scenes
        >>> root = getfixture("tmp_path") / "scenes"
        >>> write_scenes(root, train=1, val=1, seed=0)
        >>> example = load_dataset(root)[0].example()
        >>> first = seed(example, "box")
        >>> scores = np.full(example.constraints.allowed.shape, 0.5)
        >>> labels = clean(scores, example, first)
        >>> example.constraints.allows(labels).all().item()
        True
    """
    rules: dict[str, Any] = {} if refine is None else {"refine": refine}
    rules["refined_weight"] = refined_weight
    cleaned = cleaning.clean(scores, example, first_labels, CleaningParams(**params), **rules)
    return cleaned.label_map


def load_segmenter(path: str | Path, device: str = "auto") -> "Segmenter":
    """Return a trained segmenter; ``segmenter("photo.jpg")`` predicts an image.

    Args:
        path: Folder of a run (its last network, or that of its best round), folder of a stage, or
            a ``model.ckpt``.
        device: "auto" uses a GPU if there is one, "cpu" does not.

    Returns:
        The segmenter in eval mode. A call takes an image file or (H, W, 3) uint8 RGB and returns
        ``label_map``, ``scores`` and ``confidence``.

    Raises:
        InputError: There is no trained network, or its file is damaged.

    Example:
        >>> load_segmenter("runs/none")
        Traceback (most recent call last):
        wsseg.errors.InputError: ...
    """
    from wsseg.networks.prediction import load_segmenter as load  # noqa: PLC0415 - imports torch

    path = Path(path)
    if not (path / "config.yaml").is_file():
        nested = path / "model"
        return load(nested if nested.is_dir() else path, device)
    opened = Run(path)
    segmenter = load(opened.last_model().path, device)
    return replace(segmenter, prediction=opened.config.prediction)


def show(
    image: NDArray[np.uint8], label_map: NDArray[np.uint8], opacity: float = 0.5
) -> Image.Image:
    """Return an image with its label map on top, which a notebook displays.

    Args:
        image: (H, W, 3) uint8 RGB.
        label_map: (H, W) uint8; the background stays clear, borders between labels are white.
        opacity: Weight of the colours, 0 to 1.

    Returns:
        A Pillow image; ``.save("overlay.png")`` writes it.

    Example:
        >>> show(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)).size
        (6, 4)
    """
    return Image.fromarray(overlay(image, label_map, opacity))
