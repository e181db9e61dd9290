import re

import numpy as np
import pytest
from helpers.examples import example_from

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import find_weights
from wsseg.runs.config import config_from_values
from wsseg.seeds.cam import activation_maps_by_plugin, find_activation
from wsseg.seeds.clip import clip_maps, phrases_of_classes
from wsseg.seeds.params import CAMParams, CLIPParams
from wsseg.seeds.text_masks import sam3_maps

CLASSES = Classes(("background", "cat", "dog", "grass"))


def image_of(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture(params=["clip", "sam3"])
def locate(request):
    """A function of an image and labels that returns maps."""
    family = {"clip": "CLIP", "sam3": "SAM 3 with text"}[request.param]
    folder = request.getfixturevalue(f"{request.param}_folder")
    weights = find_weights(str(folder), family, "model")

    def located(image, labels, **settings):
        params = CAMParams(method=request.param, **{request.param: settings})
        return find_activation(request.param)(
            example_from(image),
            labels,
            classes=CLASSES,
            params=params,
            weights=weights,
            device="cpu",
        )

    return located


@pytest.mark.parametrize("size", [(40, 60), (61, 30), (1, 90)])
def test_maps_have_the_cells_of_a_random_walk_at_any_size(locate, size):
    maps = locate(image_of(*size), (1, 3))
    assert maps.shape == (2, -(-size[0] // 4), -(-size[1] // 4)) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and (maps >= 0).all() and maps.max() > 0


def test_maps_stand_in_the_order_of_the_labels(locate):
    image = image_of(40, 60)
    maps, swapped = locate(image, (1, 3)), locate(image, (3, 1))
    np.testing.assert_allclose(swapped, maps[::-1], rtol=1e-4)
    assert not np.allclose(maps[0] / maps[0].max(), maps[1] / maps[1].max(), rtol=1e-6)


def test_one_tag_and_none(locate):
    assert locate(image_of(40, 60), (2,)).max() > 0
    assert locate(image_of(40, 60), ()).shape == (0, 10, 15)


def test_the_same_image_gives_the_same_maps(locate):
    image = image_of(33, 47)
    np.testing.assert_array_equal(locate(image, (1, 2)), locate(image, (1, 2)))


def test_a_synonym_replaces_the_name(locate):
    image = image_of(40, 60)
    as_dog = locate(image, (2,), names={"dog": "zebra"})
    assert not np.array_equal(as_dog, locate(image, (2,)))
    # "dog" is what the class is called anyway
    np.testing.assert_array_equal(locate(image, (2,), names={"dog": ["dog"]}), locate(image, (2,)))


def test_an_unknown_class_in_names_is_refused(locate):
    match = r"names must be names of classes \(cat, dog, grass\), got 'cow'"
    with pytest.raises(InputError, match=match):
        locate(image_of(9, 9), (1,), names={"cow": "cattle"})


def test_a_tag_is_found_against_the_other_tags_of_clip(clip_folder):
    weights = find_weights(str(clip_folder), "CLIP", "model")
    params = CAMParams(method="clip", clip={"background": ["sky"]})
    example = example_from(image_of(40, 60))
    arguments = {"classes": CLASSES, "params": params, "weights": weights, "device": "cpu"}
    alone, beside = (clip_maps(example, labels, **arguments)[0] for labels in ((1,), (1, 2)))
    assert not np.allclose(alone / alone.max(), beside / beside.max(), rtol=1e-3)


def test_the_background_leaves_out_the_classes_of_the_data_set():
    params = CLIPParams(names={"dog": "Hound"}, background=("Grass", "sky", "hound", "cat"))
    phrases = phrases_of_classes(CLASSES, params.model_copy(update={"prompt": "{}"}))
    assert phrases == (("cat",), ("Hound",), ("grass",), ("sky",))
    match = "cam.clip.background must be words that are no classes of the data set, got cat, dog"
    with pytest.raises(InputError, match=match):
        phrases_of_classes(CLASSES, CLIPParams(background=("cat", "dog")))


def test_a_prompt_without_a_place_for_the_name_is_refused():
    values = {"run_dir": "r", "data": {"root": "d"}, "cam": {"clip": {"prompt": "a photo"}}}
    match = re.escape("cam.clip.prompt 'a photo' contains no {}; write {} where the name")
    with pytest.raises(InputError, match=match):
        config_from_values(values, "x.yaml")


def test_sam3_maps_are_the_library_s_semantic_scores(sam3_folder):
    weights = find_weights(str(sam3_folder), "SAM 3 with text", "model")
    loaded, image = load_model(weights, "cpu"), image_of(64, 64)
    inputs = loaded.processor(images=image, text="dog", return_tensors="pt")
    (plain,) = loaded.processor.post_process_semantic_segmentation(
        loaded.model(**inputs), target_sizes=[(16, 16)], return_segmentation_scores=True
    )
    params = CAMParams(method="sam3")
    maps = sam3_maps(
        example_from(image), (2,), classes=CLASSES, params=params, weights=weights, device="cpu"
    )
    np.testing.assert_allclose(maps, plain.segmentation_scores.numpy(), rtol=1e-5)


def test_of_several_words_sam3_takes_the_strongest_map(sam3_folder):
    weights = find_weights(str(sam3_folder), "SAM 3 with text", "model")

    def found(*words):
        params = CAMParams(method="sam3", sam3={"names": {"cat": words}})
        example = example_from(image_of(64, 64))
        arguments = {"classes": CLASSES, "params": params, "weights": weights, "device": "cpu"}
        return sam3_maps(example, (1,), **arguments)

    strongest = np.maximum(found("cat"), found("kitten"))
    np.testing.assert_allclose(found("cat", "kitten"), strongest, rtol=1e-6)
    with pytest.raises(InputError, match=r"cam.sam3.names must be phrases of at most 32 tokens"):
        found("kitten" * 9)


def test_maps_of_a_foundation_model_are_divided_by_their_maximum():
    def activation(*_):
        return np.full((1, 2, 2), 0.25, np.float32)

    maps = activation_maps_by_plugin(activation, example_from(image_of(8, 8)), (1,), CLASSES)
    assert (maps == 1).all()
