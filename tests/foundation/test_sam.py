import numpy as np
import pytest
import torch
from helpers.sam import write_tiny_sam

from wsseg.errors import InputError
from wsseg.foundation.embeddings import CachedSam, load_cached_sam
from wsseg.foundation.sam import Prompt

BOX = (3.0, 4.0, 20.0, 30.0)
WHOLE = slice(0, 48), slice(0, 80)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {v: str(write_tiny_sam(tmp_path_factory.mktemp(f"sam{v}"), v)) for v in (1, 2, 3)}


@pytest.fixture(params=[1, 2, 3], ids=["SAM 1", "SAM 2", "SAM 3"])
def model(request, folders):
    return load_cached_sam(folders[request.param], None, "cpu")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)


def masks_of(model, image, *prompts):
    return model.decode(model.embedding(image), prompts)


def by_the_library(model, image, **prompts):
    """Logits (3, H, W) of one prompt, by the calls that the documentation of transformers shows."""
    inputs = model.sam._processor(images=image, return_tensors="pt", **prompts)
    chosen = {k: v for k, v in inputs.items() if not k.endswith("sizes")}
    floats = {k: v.float() if v.is_floating_point() else v for k, v in chosen.items()}
    with torch.inference_mode():
        output = model.sam._model(**floats, multimask_output=True)
    sizes = [inputs["original_sizes"]]
    sizes += [inputs["reshaped_input_sizes"]] if "reshaped_input_sizes" in inputs else []
    logits = model.sam._processor.post_process_masks(output.pred_masks, *sizes, binarize=False)
    return logits[0][0].numpy(), output.iou_scores[0, 0].numpy()


PROMPTS = {
    "box": ({"input_boxes": [[list(BOX)]]}, Prompt(box=BOX)),
    "point": (
        {"input_points": [[[[10.0, 12.0]]]], "input_labels": [[[1]]]},
        Prompt(points=np.array([[10.0, 12]]), positive=np.array([True])),
    ),
    "box and points": (
        {
            "input_boxes": [[list(BOX)]],
            "input_points": [[[[10.0, 12.0], [40.0, 5.0]]]],
            "input_labels": [[[1, 0]]],
        },
        Prompt(BOX, np.array([[10.0, 12], [40, 5]]), np.array([True, False])),
    ),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", PROMPTS)
def test_masks_equal_those_of_a_plain_call_of_the_library(folders, image, version, kind):
    model = load_cached_sam(folders[version], None, "cpu")
    plain, prompt = PROMPTS[kind]
    logits, iou = by_the_library(model, image, **plain)
    masks = masks_of(model, image, prompt)
    ours = masks.resample(masks.logits[0], WHOLE)
    assert np.allclose(ours, logits, atol=1e-5 * np.abs(logits).max())
    assert ((ours > 0) == (logits > 0)).mean() > 0.999
    assert np.allclose(masks.iou[0], iou, atol=1e-5)


def test_scores_of_sam_1_equal_those_of_a_plain_call(folders, image):
    # Its masks are enlarged twice by the library and once here.
    model = load_cached_sam(folders[1], None, "cpu")
    for plain, prompt in PROMPTS.values():
        logits, iou = by_the_library(model, image, **plain)
        masks = masks_of(model, image, prompt)
        ours = masks.resample(masks.logits[0], WHOLE)
        assert np.allclose(masks.iou[0], iou, atol=1e-5)
        assert np.corrcoef(ours.ravel(), logits.ravel())[0, 1] > 0.8


def test_prompts_do_not_influence_each_other(model, image):
    mask = np.where(np.arange(80) < 40, 5.0, -5.0) * np.ones((48, 1))
    prompts = [prompt for _, prompt in PROMPTS.values()]
    prompts += [Prompt(BOX, mask=mask.astype(np.float32)), Prompt(mask=-mask.astype(np.float32))]
    together = masks_of(model, image, *prompts, *reversed(prompts))
    for number, prompt in enumerate(prompts):
        alone = masks_of(model, image, prompt)
        for index in (number, -1 - number):
            assert np.allclose(together.logits[index], alone.logits[0], atol=1e-4)
            assert np.allclose(together.iou[index], alone.iou[0], atol=1e-4)
    assert not np.allclose(together.logits[3], together.logits[0])


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(box=(0, 0, 81, 10)),
        Prompt(box=(-1, 0, 8, 10)),
        Prompt(box=(8, 5, 8, 10)),
        Prompt(points=np.array([[10.0, 49.0]]), positive=np.array([True])),
    ],
)
def test_prompts_outside_of_the_image_are_errors(model, image, prompt):
    with pytest.raises(InputError, match="must be inside the image of 48 x 80 pixels"):
        masks_of(model, image, prompt)


def test_a_gpu_too_small_for_the_prompts_gets_fewer(model, image, monkeypatch):
    sizes, decode = [], model.sam._decode

    def small_gpu(embedding, prompts):
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.cuda.OutOfMemoryError
        return decode(embedding, prompts)

    whole = masks_of(model, image, *[Prompt(box=BOX)] * 5)
    monkeypatch.setattr(model.sam, "_decode", small_gpu)
    assert np.allclose(
        masks_of(model, image, *[Prompt(box=BOX)] * 5).logits, whole.logits, atol=1e-4
    )
    assert sizes == [5, 2, 3, 1, 2]


def test_no_prompt_gives_no_mask(model, image):
    assert masks_of(model, image).logits.shape[:2] == (0, 3)


def test_images_of_a_batch_are_embedded_as_alone(model, image):
    images = [image, image[:, :30].copy(), image[::-1].copy()]
    for one, embedding in zip(images, model.sam.encode(images), strict=True):
        (alone,) = model.sam.encode([one])
        assert embedding.size == alone.size == one.shape[:2]
        assert embedding.frame == alone.frame
        for a, b in zip(embedding.tensors, alone.tensors, strict=True):
            assert torch.allclose(a, b, atol=1e-4)


def test_a_window_is_a_part_of_the_whole(model, image):
    masks = masks_of(model, image, Prompt(box=BOX))
    whole = masks.resample(masks.logits[0, 0], WHOLE)
    part = masks.resample(masks.logits[0, 0], (slice(5, 30), slice(40, 79)))
    assert np.array_equal(part, whole[5:30, 40:79])


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (300, 5)])
def test_images_of_any_size(model, size):
    tiny = np.zeros((*size, 3), np.uint8)
    masks = masks_of(model, tiny, Prompt(box=(0, 0, size[1], size[0])))
    window = slice(0, size[0]), slice(0, size[1])
    assert masks.resample(masks.logits[0, 0], window).shape == size
    assert np.isfinite(masks.logits).all()
    assert model.embedding(tiny).features.ndim == 3


def test_embeddings_are_kept_in_a_folder(model, image, tmp_path, monkeypatch):
    cached = CachedSam(model.sam, tmp_path)
    first = cached.embedding(image)
    monkeypatch.setattr(model.sam, "encode", None)  # no second encoding
    again = CachedSam(model.sam, tmp_path).embedding(image)
    for a, b in zip(first.tensors, again.tensors, strict=True):
        assert torch.equal(a, b)
    assert (again.size, again.frame, again.side) == (first.size, first.frame, first.side)


def test_a_damaged_embedding_is_made_again(model, image, tmp_path):
    cached = CachedSam(model.sam, tmp_path)
    first = cached.embedding(image)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    assert torch.equal(cached.embedding(image).tensors[0], first.tensors[0])


def test_prepared_images_are_not_encoded_again(model, image, monkeypatch):
    cached = CachedSam(model.sam)
    cached.prepare([image, image[::-1].copy()])
    monkeypatch.setattr(model.sam, "encode", None)
    assert cached.embedding(image).size == (48, 80)
    assert cached.embedding(image[::-1].copy()).size == (48, 80)


def test_a_full_gpu_gets_smaller_batches(model, image, monkeypatch):
    sizes, encode = [], model.sam._encode

    def small_gpu(images):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.cuda.OutOfMemoryError
        return encode(images)

    monkeypatch.setattr(model.sam, "_encode", small_gpu)
    assert len(model.sam.encode([image] * 5)) == 5
    assert sizes[0] == 5
    assert max(sizes[-2:]) <= 2


def test_a_gpu_too_small_for_one_image_is_an_error(model, image, monkeypatch):
    def full(_images):
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(model.sam, "_encode", full)
    with pytest.raises(InputError, match=r"GPU does not suffice for .*set machine.device=cpu"):
        model.sam.encode([image, image])
