"""Settings that fit a data set and this machine, as the text of a YAML file: ``wsseg init``."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from wsseg.cli.doctor.settings import check_weights
from wsseg.data.counts import SplitCounts, split_counts
from wsseg.data.formats.raw import RawDataset
from wsseg.data.formats.table import FORMATS, read_raw
from wsseg.data.formats.views import view
from wsseg.data.model import Dataset
from wsseg.data.name_patterns import group_pattern
from wsseg.data.split_names import matching_split
from wsseg.data.splitting import shown_classes
from wsseg.errors import InputError
from wsseg.networks.params import SegmenterParams

_SHOWN = 12  # classes that are listed
_SHARE = 0.2
_TFSLIM = "mobilenetv2_100_tfslim_in1k_bn.pth"
_ENOUGH_TO_ZOOM = 20  # images with boxes of a class


@dataclass(frozen=True)
class Findings:
    """The facts about a data set that settings depend on.

    Args:
        root: As it was given.
        raw: The content of its files.
        has_masks: Whether some images have full masks.
        gpu: Name of the GPU; empty if there is none.
    """

    root: Path
    raw: RawDataset
    dataset: Dataset
    has_masks: bool
    gpu: str

    @cached_property
    def splits(self) -> Counter[str]:
        """Number of images of each split."""
        return Counter(sample.split for sample in self.dataset.samples)

    @cached_property
    def train(self) -> str:
        """The split to train on, as the data set names it: the largest one if none is usual."""
        usual = matching_split("train", self.splits)
        others = [name for name in self.splits if name != self.val] or [*self.splits]
        return usual if usual in self.splits else max(others, key=lambda n: self.splits[n])

    @cached_property
    def val(self) -> str:
        """The validation split, as the data set names it; empty if there is none."""
        usual = matching_split("val", self.splits)
        return usual if usual in self.splits and len(self.splits) > 1 else ""

    @cached_property
    def counts(self) -> SplitCounts:
        """Annotations of the split to train on."""
        return split_counts(self.dataset.split(self.train), len(self.raw.classes))

    @cached_property
    def shows(self) -> NDArray[np.bool_]:
        """(N, C) whether each image shows each class, without the background."""
        return shown_classes(self.raw, self.raw.samples)

    @cached_property
    def only_tags(self) -> bool:
        """Whether the images have tags and no other weak labels."""
        return bool(self.counts.tagged) and not any(self.counts.boxes) and not self.counts.drawn

    @cached_property
    def everywhere(self) -> tuple[str, ...]:
        """Classes that every tagged image has, so that a classifier cannot learn them from tags."""
        if not self.only_tags:
            return ()
        pairs = zip(self.raw.classes.names[1:], self.counts.tagged[1:], strict=True)
        return tuple(name for name, count in pairs if count == self.counts.with_tags)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Median (H, W) of the images."""
        height, width = np.median([s.size for s in self.dataset.samples], axis=0)
        return int(height), int(width)

    @cached_property
    def scale(self) -> float:
        """Power of 1/2 at which images are small enough for the device, and boxes large enough."""
        most = 1024 if self.gpu else 300
        scale = 2.0 ** -max(0, math.ceil(math.log2(max(self.size) / most)))
        sides = [
            min(b.right - b.left, b.bottom - b.top) for s in self.dataset.samples for b in s.boxes
        ]
        small = float(np.percentile(sides, 10)) if sides else math.inf
        while scale < 1 and small * scale < 8:
            scale *= 2
        return scale

    def warnings(self) -> Iterator[str]:
        """Yield what a person should know before the first run."""
        if fatal := [problem for problem in self.dataset.problems if problem.fatal]:
            yield f"{len(fatal)} images or files cannot be used, such as {fatal[0]}"
        unread = [p for p in self.dataset.problems if p.kind == "image that is not read"]
        yield from (problem.message for problem in unread)
        if self.only_tags and len(self.everywhere) == len(self.raw.classes) - 1:
            names = ", ".join(self.everywhere)
            yield f"every tagged image shows {names}; add images without it, or draw boxes"


def find_out(root: Path, format: str = "auto") -> Findings:
    """Read a data set and look at this machine.

    Args:
        format: As ``data.format``.

    Raises:
        InputError: The folder is of no known format, or no image has any annotation.
    """
    raw = read_raw(root, format)
    dataset = view(raw, "none" if "all" in raw.refused else "all")
    if not dataset.samples:
        problem = next(iter(dataset.problems), "its files list none")
        hint = "correct it; wsseg check lists every problem"
        raise InputError(f"{root} has no image that can be used ({problem})", hint=hint)
    masks = () if "masks" in raw.refused else view(raw, "masks").samples
    has_masks = any(sample.annotations for sample in masks)
    if not has_masks and not any(sample.annotations for sample in dataset.samples):
        hint = "annotate some, or name files of annotations in data.annotations"
        raise InputError(f"No image of {root} has an annotation", hint=hint)
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return Findings(root, raw, dataset, has_masks, gpu)


def settings_text(findings: Findings) -> str:
    """Return the YAML file, each setting with the reason for its value."""
    lines = [
        *_header(findings),
        f"run_dir: {_scalar(f'runs/{run_name(findings.root)}')}  # labels, networks and the report",
        "seed: 0  # the same seed gives the same labels and networks",
        *_recipe(findings),
        "data:",
        *(f"  {line}" for line in _data(findings)),
        *_network(findings),
        *_training(findings),
    ]
    return "\n".join(lines) + "\n"


def run_name(root: Path) -> str:
    """Return the name of a folder, fit for the name of a file."""
    return re.sub(r"[^\w.-]+", "_", root.absolute().name).strip("._") or "data"


def _header(findings: Findings) -> Iterator[str]:
    n, names = len(findings.dataset), findings.raw.classes.names[1:]
    yield f"# Written by wsseg init: {n} images, {len(names)} classes; images that show them:"
    counts = findings.shows.sum(axis=0).tolist()
    listed = [f"{name} {count}" for name, count in zip(names, counts, strict=True)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    yield f"# {', '.join(listed[:_SHOWN])}{more}"


def _recipe(findings: Findings) -> Iterator[str]:
    counts = findings.counts
    kinds = [f"{sum(counts.boxes)} boxes"] if any(counts.boxes) else []
    kinds += [f"tags of {counts.with_tags} images"] if counts.tagged else []
    kinds += [f"{count} {kind}" for kind, count in sorted(counts.drawn.items())]
    if kinds:
        has_hidden = findings.has_masks and not {*counts.drawn} & {"polygons", "masks"}
        masks = "; masks only measure" if has_hidden else ""
        yield f"pipeline: weak  # learns from {', '.join(kinds)}{masks}"
    else:
        yield "pipeline: full  # the images have full masks and no weak labels"


def _data(findings: Findings) -> Iterator[str]:
    splits, train, val = findings.splits, findings.train, findings.val
    yield f"root: {_scalar(str(findings.root))}"
    sign = FORMATS[findings.raw.format].sign
    yield f"format: {findings.raw.format}" + (f"  # it has {sign}" if sign else "")
    named = ", ".join(f"{name} {count}" for name, count in splits.items())
    is_alone = len(splits) == 1
    if matching_split("train", splits) not in splits and not (is_alone and splits[train] > 1):
        yield f"train: {_scalar(train)}  # the largest of the splits: {named} images"
    if val:
        yield f"val: val  # splits of the data set: {named} images"
    elif splits[train] < 2:
        yield "val: null  # one image cannot be divided"
    else:
        yield f"split: {_SHARE}  # hold out a fifth to validate, classes balanced; splits: {named}"
        of_train = [n for n, e in enumerate(findings.raw.samples) if e.sample.split == train]
        ids = [findings.raw.samples[n].sample.id for n in of_train]
        if pattern := group_pattern(ids, findings.shows[of_train]):
            n_groups = len({match[1] for id in ids if (match := re.search(pattern, id))})
            yield f"group: {_scalar(pattern)}  # {n_groups} videos or the like stay on one side"
    every = findings.everywhere
    kept = [name for name in findings.raw.classes.names[1:] if name not in every]
    if every and kept:
        listed, left_out = ", ".join(map(_scalar, kept)), ", ".join(every)
        yield f"classes: [{listed}]  # every image shows {left_out}, so tags cannot teach it"


def _network(findings: Findings) -> Iterator[str]:
    height, width = findings.size
    file = Path(os.environ.get("WSSEG_WEIGHTS", "weights")) / _TFSLIM
    preset = "resnet50" if findings.gpu else "mobilenetv2"
    device = f"for the GPU ({findings.gpu})" if findings.gpu else "there is no GPU: a small network"
    yield "model:"
    if not findings.gpu and file.is_file():
        yield f"  preset: mobilenetv2  # {device}"
        yield f"  weights: {_scalar(str(file))}"
    elif check_weights("", SegmenterParams(preset=preset)).state == "problem":
        yield "  preset: demo  # trains from random weights: others cannot be downloaded here"
    else:
        yield f"  preset: {preset}  # {device}"
        yield "  weights: imagenet  # downloaded at the first use; or a local file"
        if not findings.gpu:  # the preset describes the weights of TF-Slim
            yield from ("  mean: [0.485, 0.456, 0.406]", "  std: [0.229, 0.224, 0.225]")
            yield "  encoder_kwargs: {}  # these three belong to the weights"
    yield f"  scale: {findings.scale:g}  # images have about {width}x{height} pixels"


def _training(findings: Findings) -> Iterator[str]:
    height, width = (_crop(side * findings.scale, bool(findings.gpu)) for side in findings.size)
    yield "trainer:"
    steps = 4000 if findings.gpu else 800
    yield f"  steps: {steps}  # of each round; more if the report's curve still falls at its end"
    yield f"  crop: [{height}, {width}]  # height and width at that scale"
    counts = findings.counts
    if findings.only_tags and not findings.gpu:
        full_height, full_width = (_crop(side, is_gpu=False) for side in findings.size)
        trainer = f"{{steps: 300, crop: [{full_height}, {full_width}], decoder_lr: 0.01}}"
        yield "classifier:  # of the tags: only its head is trained"
        yield f"  {{output_stride: 16, frozen_blocks: 7, trainer: {trainer}}}"
    if max(counts.images_with, default=0) >= _ENOUGH_TO_ZOOM:
        yield "zoom: {folds: 2}  # two networks on box crops improve the first labels"


def _crop(side: float, is_gpu: bool) -> int:
    """Return a multiple of 32 that fits into the side of an image."""
    return int(np.clip(side // 32 * 32, 64, 512 if is_gpu else 256))


def _scalar(text: str) -> str:
    """Return text as a YAML value that is read as this text, without interpolation."""
    escaped = text.replace("${", "\\${")
    dumped: str = yaml.safe_dump(escaped, width=math.inf, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")
