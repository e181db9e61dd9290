from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from wsseg.data.annotation import Tags
from wsseg.data.model import Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks.params import ClassifierNetworkParams
from wsseg.runs.config import Config
from wsseg.runs.run import Run
from wsseg.stages.selection import embeddings as module
from wsseg.stages.selection.embeddings import Rows, embed_images, embeddings_of
from wsseg.stages.selection.encoders import EncoderSource, FrozenEncoder

SOURCE = EncoderSource("classifier", ClassifierNetworkParams(encoder="resnet10t", weights=None))


def embed_colour(_, image):
    """The mean colour at length 1: an encoder that takes no time."""
    mean = image.reshape(-1, 3).mean(axis=0).astype(np.float32) + 1
    return mean / np.linalg.norm(mean)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Embeds with the mean colour, and counts the images."""
    seen = []

    def embed(_, image):
        seen.append(image.shape)
        return embed_colour(_, image)

    monkeypatch.setattr(FrozenEncoder, "embed", embed)
    monkeypatch.setattr(EncoderSource, "load", lambda _: FrozenEncoder(None, None))
    module._load.cache_clear()
    yield seen
    module._load.cache_clear()


@pytest.fixture
def samples(tmp_path):
    random = np.random.default_rng(0)
    found = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        colour = random.integers(0, 256, 3)
        Image.fromarray(np.full((5, 4, 3), colour, np.uint8)).save(path)
        found.append(Sample(f"{number}", path, (5, 4), (), "train"))
    return found


@pytest.fixture
def run(tmp_path):
    return Run(
        tmp_path / "cache",
        Config(
            run_dir=tmp_path,
            data=DataParams(root=tmp_path),
            machine={"workers": 1, "device": "cpu"},
        ),
    )


def test_every_image_has_its_vector(run, samples):
    stage = embed_images(run, samples, SOURCE)
    found = embeddings_of(stage, samples)
    expected = [embed_colour(None, np.asarray(Image.open(s.image))) for s in samples]
    np.testing.assert_allclose(found.of(range(6)), expected)
    np.testing.assert_allclose(found.mean(), np.mean(expected, axis=0), rtol=1e-6)
    assert stage.results["images"] == 6 and stage.skipped == {}


def test_bad_images_are_skipped(run, samples):
    samples[1].image.write_bytes(samples[1].image.read_bytes()[:45])
    samples[4].image.unlink()
    stage = embed_images(run, samples, SOURCE)
    assert list(stage.skipped) == ["1", "4"]
    found = embeddings_of(stage, samples)
    assert len(found) == 4 and found.rows.written().tolist() == [
        True,
        False,
        True,
        True,
        False,
        True,
    ]
    np.testing.assert_allclose(np.linalg.norm(found.of(range(4)), axis=1), 1, atol=1e-6)


def test_no_usable_image_is_an_error(run, samples):
    for sample in samples:
        sample.image.write_bytes(b"")
    with pytest.raises(InputError, match="No image of the stage embeddings is usable"):
        embed_images(run, samples, SOURCE)


def test_an_interrupted_stage_goes_on(run, samples, quick, monkeypatch):
    whole = embed_images(Run(run.path / "whole", run.config), samples, SOURCE)
    quick.clear()
    embed = FrozenEncoder.embed

    def stopped(encoder, image):
        if len(quick) == 3:
            raise KeyboardInterrupt
        return embed(encoder, image)

    monkeypatch.setattr(FrozenEncoder, "embed", stopped)
    with pytest.raises(KeyboardInterrupt):
        embed_images(run, samples, SOURCE)
    monkeypatch.setattr(FrozenEncoder, "embed", embed)
    stage = embed_images(run, samples, SOURCE)
    assert len(quick) == 6  # none twice
    assert (stage.path / "rows.npy").read_bytes() == (whole.path / "rows.npy").read_bytes()
    embed_images(run, samples, SOURCE)
    assert len(quick) == 6


def test_damaged_rows_of_a_complete_stage_are_made_again(run, samples, quick):
    path = embed_images(run, samples, SOURCE).path / "rows.npy"
    before = path.read_bytes()
    path.write_bytes(before[:-12] + bytes(12))
    embed_images(run, samples, SOURCE)
    assert path.read_bytes() == before and len(quick) == 7
    path.unlink()
    embed_images(run, samples, SOURCE)
    assert path.read_bytes() == before and len(quick) == 13


def test_the_key_knows_files_and_encoder_but_no_annotations(run, samples):
    key = embed_images(run, samples, SOURCE).key
    tagged = [replace(sample, annotations=(Tags((1,)),)) for sample in samples]
    assert embed_images(run, tagged, SOURCE).key == key
    assert embed_images(run, samples[1:], SOURCE).key != key
    other = replace(SOURCE, settings=SOURCE.settings.model_copy(update={"scale": 0.5}))
    assert embed_images(run, samples, other).key != key
    Image.new("RGB", (9, 9)).save(samples[0].image)
    assert embed_images(run, samples, SOURCE).key != key


def test_distances_do_not_depend_on_chunks(embedded, random_vectors, monkeypatch):
    found = embedded(random_vectors)
    unit = random_vectors / np.linalg.norm(random_vectors, axis=1, keepdims=True)
    some = [7, 3, 50, 11, 12, 13, 14]
    expected = np.linalg.norm(unit[:, None] - unit[some], axis=2).min(axis=1)
    np.testing.assert_allclose(found.distances_to(some), expected, atol=1e-6)
    assert found.distances_to(some)[some].tolist() == [0] * 7
    assert np.isinf(found.distances_to([])).all()
    monkeypatch.setattr(module, "_CHUNK", 4)
    np.testing.assert_allclose(found.distances_to(some), expected, atol=1e-6)


def test_chunks_are_all_images_once(embedded, random_vectors):
    found = embedded(random_vectors).only(np.arange(0, 60, 2))
    places = [place for place, _ in found.chunks(size=7, smallest=4)]
    assert [place.stop - place.start for place in places] == [7, 7, 7, 9]
    assert [place.start for place in places] == [0, 7, 14, 21]
    together = np.concatenate([chunk for _, chunk in found.chunks(size=7)])
    np.testing.assert_array_equal(together, found.of(range(30)))


def basis(width, number):
    return np.eye(width, dtype=np.float32)[number]


def test_rows_come_back_and_numpy_reads_the_file(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(5, 3)
    rows.write(4, basis(3, 1))
    rows.write(0, basis(3, 2))
    assert rows.shape() == (5, 3)
    np.testing.assert_array_equal(rows.read([4, 0]), [basis(3, 1), basis(3, 2)])
    np.testing.assert_array_equal(np.load(rows.path)[4], basis(3, 1))
    assert rows.written(chunk=2).tolist() == [True, False, False, False, True]


def test_a_row_that_was_cut_short_does_not_count(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(2, 4)
    rows.write(0, np.full(4, 0.5, np.float32))
    rows.write(1, np.array([0.5, 0.5, 0, 0], np.float32))
    assert rows.written().tolist() == [True, False]


def test_creating_again_keeps_rows_of_the_same_shape_only(tmp_path):
    rows = Rows(tmp_path / "rows.npy")
    rows.create(2, 3)
    rows.write(0, basis(3, 0))
    rows.create(2, 3)
    assert rows.written().tolist() == [True, False]
    rows.create(3, 3)
    assert rows.written().tolist() == [False] * 3


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"\x93NUMPY\x01\x00"])
def test_a_missing_or_damaged_file_has_no_shape(tmp_path, content):
    rows = Rows(tmp_path / "rows.npy")
    if content is not None:
        rows.path.write_bytes(content)
    assert rows.shape() is None and rows.written().size == 0
