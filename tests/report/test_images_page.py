"""The page of all images: its files, and what a person does with it in a browser."""

import base64
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from wsseg.data.annotation import Box, Boxes, MaskFile
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.truth import Truth
from wsseg.files import write_json
from wsseg.labelmaps import write_label_map
from wsseg.metrics.signals import measure_signals
from wsseg.report.images_page import encode_label_map, write_images_page
from wsseg.report.pictures import encode_image, shown_size
from wsseg.stages.signals import read_signals
from wsseg.synthetic.scenes import CLASSES, generate_scene

NAMES = Classes((*[*CLASSES][:-1], "<script>alert(1)</script>"))
COUNT = 40
LABEL_MAPS = arrays.arrays(
    np.uint8, arrays.array_shapes(min_dims=2, max_dims=2), elements=st.sampled_from([0, 1, 255])
)


def write(folder, stages, samples, truth):
    write_images_page(
        folder,
        name="<b>mine</b>",
        stages=stages,
        classes=NAMES,
        samples=samples,
        truth=truth,
        counts={},
        workers=1,
    )


def decode_label_map(text, size):
    """Decode a label map as the script of the page does."""
    data = iter(base64.b64decode(text))
    pixels = []
    for label in data:
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = next(data)
            length, shift = length | (byte & 0x7F) << shift, shift + 7
        pixels += [label] * length
    return np.array(pixels, np.uint8).reshape(size)


def made(folder):
    """A report of 40 scenes at two stages; the labels of the first ten are shifted."""
    samples, masks, rows = [], [], {"seeds": [], "round-1": []}
    for number in range(COUNT):
        image, truth, boxes = generate_scene(np.random.default_rng(number), (48, 64))
        name = f"a/{number:02d} é" if number else 'a/"0" </script>'
        path = folder / "data" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
        write_label_map(path.with_suffix(".mask.png"), truth)
        sample = Sample(name, path, truth.shape, (Boxes(boxes),), "train")
        samples.append(sample)
        mask = MaskFile(path.with_suffix(".mask.png"))
        masks.append(Sample(name, path, truth.shape, (mask,), "train"))
        bad = np.roll(truth, 12, axis=1) if number < 10 else truth
        maps = {"seeds": np.roll(truth, 3, axis=0), "round-1": bad}
        for stage, label_map in maps.items():
            write_label_map(folder / stage / "labels" / f"{name}.png", label_map)
            found = measure_signals(label_map, None, sample, {})
            rows[stage] += [{"id": name, **row} for row in found]
        write_label_map(folder / "round-1" / "rules" / f"{name}.png", np.full_like(truth, 3))
    for stage, table in rows.items():
        (folder / stage / "signals").mkdir()
        for name in (stage, f"{stage}/signals"):
            write_json(
                folder / name / "manifest.json",
                {"stage": name, "key": name, "upstream": {}, "seconds": 1},
            )
        pd.DataFrame(table).to_parquet(folder / stage / "signals" / "stats.parquet")
    truth = Truth(Dataset(NAMES, tuple(masks)))
    stages = {name: folder / name for name in rows}
    write(folder / "report", stages, samples, truth)
    return stages


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    made(folder)
    return folder


def called(path):
    """The arguments of the one call that a data file makes."""
    (content,) = re.findall(r"^wsseg\.\w+\((.*)\);\n$", path.read_text(), re.DOTALL)
    return json.loads(f"[{content}]")


def test_files_hold_every_image_and_stage(run):
    (index,) = called(run / "report/images/index.js")
    assert index["stages"] == ["seeds", "round-1"] and len(index["ids"]) == COUNT
    assert len({*index["files"]}) == COUNT
    assert index["columns"][0]["name"] == "estimate"
    for identity, file in zip(index["ids"][:3], index["files"], strict=False):
        name, content = called(run / f"report/images/{file}.js")
        assert name == file and {*content["maps"]} == {"seeds", "round-1"}
        found = decode_label_map(content["maps"]["round-1"], content["size"])
        kept = Image.open(run / "round-1/labels" / f"{identity}.png")
        np.testing.assert_array_equal(found, np.asarray(kept))
        assert content["truth"] and content["rows"]["seeds"][0]["fill"] >= 0


def test_an_image_that_cannot_be_read_is_left_out(tmp_path):
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    box = Boxes((Box(1, 0, 0, 2, 2),))
    samples = [Sample(n, tmp_path / f"{n}.png", (4, 6), (box,), "train") for n in ("bad", "good")]
    write(tmp_path, {}, samples, Truth(Dataset(NAMES, ())))
    (index,) = called(tmp_path / "images/index.js")
    assert index["ids"] == ["good"] and index["columns"] == []


@pytest.fixture
def page(run, browser):
    """Open, offline, and without an error to its end."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    found, errors = context.new_page(), list[str]()
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.on("dialog", lambda dialog: errors.append(dialog.message))
    found.goto((run / "report/images.html").as_uri())
    found.wait_for_selector(".image canvas")
    yield found
    context.close()
    assert not errors


def names(page):
    """Names of the cards in the order of their places."""
    cards = page.locator(".image").all()
    places = {int(card.get_attribute("data-place")): card.get_attribute("title") for card in cards}
    return [places[place] for place in sorted(places)]


def drawn(page, selector):
    """Pixels that a canvas covers."""
    script = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        .data.filter((value, at) => at % 4 === 3 && value > 0).length"""
    return int(page.locator(selector).first.evaluate(script))


def test_the_worst_come_first(run, page):
    estimate = read_signals(run / "round-1").groupby("id")["estimate"].mean().round(4)
    first = names(page)
    assert estimate[first].is_monotonic_increasing and estimate[first[0]] == estimate.min()
    assert len({name for name in first[:10] if name < "a/10"}) >= 6  # of ten with shifted labels
    page.click("#worst")
    first = names(page)
    assert estimate[first].is_monotonic_decreasing and estimate[first[0]] == estimate.max()
    assert page.inner_text("#worst") == "best first"


def test_names_are_text_whatever_is_in_them(page):
    assert page.inner_text("h1") == "<b>mine</b>: images"
    assert "<script>alert(1)</script>" in page.locator("#class").inner_text()
    page.fill("#find", "</script>")
    assert names(page) == ['a/"0" </script>']
    assert page.inner_text("#count") == f"1 of {COUNT} images"


def test_images_are_filtered_by_class_and_signal(page):
    page.select_option("#class", "1")
    few = int(page.inner_text("#count").split()[0])
    assert 0 < few < COUNT
    page.select_option("#class", "")
    page.select_option("#sort", "fill")
    values = [float(v) for v in page.locator(".image .what span:last-child").all_inner_texts()]
    assert values == sorted(values)
    middle = sorted(values)[len(values) // 2]
    page.fill("#high", str(middle))
    assert 0 < int(page.inner_text("#count").split()[0]) < COUNT


def test_the_slider_goes_from_stage_to_stage(page):
    assert page.inner_text("#stage-name") == "round-1"
    before = names(page)
    page.focus("#stage")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#stage-name") == "seeds"
    assert names(page) != before  # the order is that of the stage


def test_layers_and_opacity(page):
    page.select_option("#layer", "none")
    page.wait_for_selector(".image canvas")
    assert 0 < drawn(page, ".image canvas") < 48 * 64 / 3  # outlines of boxes
    page.keyboard.press("a")
    page.wait_for_selector(".image canvas")
    assert drawn(page, ".image canvas") == 0
    page.select_option("#layer", "errors")
    page.wait_for_selector(".image canvas")
    assert drawn(page, ".image canvas") > 0
    page.select_option("#layer", "labels")
    page.locator("#opacity").fill("0")
    page.wait_for_selector(".image canvas")
    assert drawn(page, ".image canvas") == 0


def test_one_image_through_its_stages(page):
    first, second = names(page)[:2]
    page.locator(".image").first.click()
    page.wait_for_selector("#large canvas")
    assert page.inner_text("#detail-name") == f"{first} (1 of {COUNT})"
    assert page.locator("#strip button").count() == 2
    assert "reset 100.0 %" in page.inner_text("#strip button:nth-child(2)")
    assert "estimated quality" in page.inner_text("#rows")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#detail-name").startswith(second)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector('#strip button:nth-child(1)[aria-pressed="true"]')
    for key, layer in (("t", "truth"), ("e", "errors"), ("c", "changes"), ("l", "labels")):
        page.keyboard.press(key)
        assert page.input_value("#layer") == layer
    page.locator("#strip button").nth(1).click()
    page.keyboard.press("r")
    assert drawn(page, "#large canvas") == 48 * 64  # the rule "reset" everywhere
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()


def test_colours_for_colour_blind_readers(page):
    page.locator(".image").first.click()
    chip = page.locator("#legend .chip").first
    before = chip.evaluate("mark => mark.style.background")
    page.keyboard.press("Escape")
    page.select_option("#palette", "safe")
    page.locator(".image").first.click()
    assert chip.evaluate("mark => mark.style.background") != before


def test_an_address_opens_its_image(page):
    page.locator(".image").nth(3).click()
    address, shown = page.url, page.inner_text("#detail-name")
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("#large canvas")
    assert page.inner_text("#detail-name") == shown


def test_only_what_is_in_view_is_loaded(page):
    page.set_viewport_size({"width": 500, "height": 450})
    few = "most => document.querySelectorAll('.image').length < most"
    page.wait_for_function(few, arg=COUNT / 2)  # once the page knows its size
    first = names(page)[0]
    page.mouse.wheel(0, 3000)
    gone = "name => ![...document.querySelectorAll('.image')].some(card => card.title === name)"
    page.wait_for_function(gone, arg=first)
    assert page.locator(".image").count() < COUNT / 2


@settings(max_examples=60, deadline=None)
@given(LABEL_MAPS)
def test_small_label_maps_come_back_as_they_were(label_map):
    text = encode_label_map(label_map, 100)
    np.testing.assert_array_equal(decode_label_map(text, label_map.shape), label_map)


def test_long_runs():
    label_map = np.zeros((200, 300), np.uint8)
    label_map[150:] = 7
    text = encode_label_map(label_map, 300)
    assert len(text) < 16
    np.testing.assert_array_equal(decode_label_map(text, (200, 300)), label_map)


def test_large_label_maps_show_pixels_at_centres():
    label_map = np.arange(81, dtype=np.uint8).reshape(9, 9)
    found = decode_label_map(encode_label_map(label_map, 3), (3, 3))
    np.testing.assert_array_equal(found, label_map[1::3, 1::3])


def test_images_are_shown_in_the_size_of_their_labels():
    image = np.full((50, 80, 3), (200, 30, 30), np.uint8)
    head, data = encode_image(image, 40).split(",")
    assert head == "data:image/jpeg;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert shown.size[::-1] == shown_size((50, 80), 40) == (25, 40)
    assert np.abs(np.asarray(shown, int) - (200, 30, 30)).max() < 12


def test_thin_images_keep_a_pixel():
    assert shown_size((1, 5000), 100) == (1, 100)
    assert (
        decode_label_map(encode_label_map(np.zeros((1, 5000), np.uint8), 100), (1, 100)).any() == 0
    )
