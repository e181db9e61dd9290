"""Folders as annotation tools export them: every layout gives the same images and boxes."""

import json

import numpy as np
import pytest
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Unknown
from wsseg.data.classes import candidate_classes
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.seeds.apply import find_seed
from wsseg.seeds.params import SeedParams

HEIGHT, WIDTH = 30, 40
NAMES = ("cow", "sheep")
COW, SHEEP = (4, 3, 14, 13), (20, 15, 32, 27)  # left, top, right, bottom
IMAGES = {"im0": (COW,), "im1": (COW, SHEEP)}
BOXES = {"im0": (Box(1, *COW),), "im1": (Box(1, *COW), Box(2, *SHEEP))}


def put(root, name, content=b""):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in {".jpg", ".png"} and not content:
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_images(root, pattern="{}.jpg"):
    for id in IMAGES:
        put(root, pattern.format(id))


def named(box):
    return NAMES[0] if box == COW else NAMES[1]


def voc_object(box, name):
    keys = ("xmin", "ymin", "xmax", "ymax")
    left, top, right, bottom = box
    corners = zip(keys, (left + 1, top + 1, right, bottom), strict=True)
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def rotated_object(box, name):
    left, top, right, bottom = box
    values = ((left + right) / 2, (top + bottom) / 2, bottom - top, right - left, np.pi / 2)
    keys = ("cx", "cy", "w", "h", "angle")
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in zip(keys, values, strict=True))
    return f"<object><name>{name}</name><robndbox>{inner}</robndbox></object>"


def voc_xml(id, filename=None, made=voc_object):
    objects = "".join(made(box, named(box)) for box in IMAGES[id])
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation><filename>{filename or id + '.jpg'}</filename>{size}{objects}</annotation>"


def put_xmls(root, pattern="{}.xml", head="", **options):
    for id in IMAGES:
        put(root, pattern.format(id), head + voc_xml(id, **options))


def coco(name="{}.jpg", image_id=int, category_id=int, crowd=0, category=None):
    annotations = [
        {
            "image_id": image_id(n),
            "category_id": category_id(NAMES.index(named(box)) + 1),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "iscrowd": crowd,
        }
        for n, boxes in enumerate(IMAGES.values(), 1)
        for box in boxes
    ]
    images = [
        {"id": n, "file_name": name.format(id), "height": HEIGHT, "width": WIDTH}
        for n, id in enumerate(IMAGES, 1)
    ]
    categories = category or [{"id": n, "name": name} for n, name in enumerate(NAMES, 1)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def yolo_line(box, more=""):
    left, top, right, bottom = box
    x, y, w, h = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    number = NAMES.index(named(box))
    return f"{number} {x / WIDTH} {y / HEIGHT} {w / WIDTH} {h / HEIGHT}{more}\n"


def put_labels(root, pattern="labels/{}.txt", more=""):
    for id, boxes in IMAGES.items():
        put(root, pattern.format(id), "".join(yolo_line(box, more) for box in boxes))


def roboflow_voc(root):
    put_images(root, "train/{}.jpg")
    put_xmls(root, "train/{}.xml")


def labelimg_flat(root):
    put_images(root)
    put_xmls(root)


def labelimg_two_folders(root):
    put_images(root, "photos/{}.jpg")
    put_xmls(root, "xml/{}.xml")


def voc_without_image_sets(root):
    put_images(root, "JPEGImages/{}.jpg")
    put_xmls(root, "Annotations/{}.xml")
    (root / "ImageSets").mkdir()


def labelstudio_voc(root):
    put_images(root, "images/{}.jpg")
    for id in IMAGES:
        put(root, f"Annotations/{id}.xml", voc_xml(id, filename=id))


def voc(root, ending="", **options):
    put_images(root, "JPEGImages/{}.jpg")
    put_xmls(root, "Annotations/{}.xml", **options)
    put(root, "ImageSets/Main/train.txt", "".join(f"{id}{ending}\n" for id in IMAGES))


def voc_lists_with_endings(root):
    voc(root, ending=".jpg")


def voc_declared_gb2312(root):
    voc(root, head='<?xml version="1.0" encoding="gb2312"?>')


def rolabelimg(root):
    voc(root, made=rotated_object)


def voc_xml_named_otherwise(root):
    put_images(root, "images/{}.jpg")
    for n, id in enumerate(IMAGES):
        put(root, f"Annotations/page{n}.xml", voc_xml(id, filename=f"C:\\data\\{id}.jpg"))


def coco_of_labelstudio(root):
    put_images(root, "images/{}.jpg")
    put(root, "result.json", coco("images/{}.jpg"))


def coco_with_backslashes(root):
    put_images(root, "images/{}.jpg")
    put(root, "result.json", coco("images\\{}.jpg"))


def coco_of_labelme2coco(root):
    put_images(root)
    put(root, "annotations.json", coco())


def coco_of_fiftyone(root):
    put_images(root, "data/{}.jpg")
    put(root, "labels.json", coco())


def coco_of_roboflow(root):
    put_images(root, "train/{}.jpg")
    put(root, "train/_annotations.coco.json", coco())


def coco_in_a_folder_of_the_split(root):
    put_images(root, "train/data/{}.jpg")
    put(root, "train/labels.json", coco())


def coco_of_another_machine(root):
    put_images(root, "pictures/day1/{}.jpg")
    put(root, "annotations/instances_train.json", coco("/home/ann/shots/day1/{}.jpg"))


def coco_with_ids_as_text(root):
    put_images(root, "images/{}.jpg")
    put(root, "annotations/instances_train.json", coco(image_id=str, category_id=str, crowd="0"))


def coco_with_ids_as_floats(root):
    put_images(root, "images/{}.jpg")
    put(root, "annotations/instances_train.json", coco(image_id=float, category_id=float))


def yolo(root, more="", settings="", names="names: [cow, sheep]\n"):
    put_images(root, "images/{}.jpg")
    put_labels(root, more=more)
    put(root, "data.yaml", f"train: images\n{names}{settings}")


def yolo_with_confidence(root):
    yolo(root, more=" 0.91")


def yolo_pose(root):
    yolo(root, more=" 0.1 0.1 2" * 17, settings="kpt_shape: [17, 3]\n")


def yolo_pose_with_an_even_count(root):
    yolo(root, more=" 0.1 0.2" * 4, settings="kpt_shape: [4, 2]\n")


def yolo_beside_another_yaml(root):
    yolo(root)
    (root / "data.yaml").rename(root / "cattle.yaml")
    put(root, "mkdocs.yaml", "site: cattle\n")


def yolo_lists_with_backslashes(root):
    yolo(root)
    put(root, "train.txt", "".join(f"images\\{id}.jpg\n" for id in IMAGES))
    put(root, "data.yaml", "train: train.txt\nnames: {0: cow, 1: sheep}\n")


def yolo_of_cvat(root):
    put_images(root, "images/train/{}.jpg")
    put_labels(root, "labels/train/{}.txt")
    put(root, "train.txt", "".join(f"data/images/train/{id}.jpg\n" for id in IMAGES))
    put(root, "data.yaml", "path: .\ntrain: train.txt\nnames: {0: cow, 1: sheep}\n")


def darknet(root):
    put_images(root, "obj_train_data/{}.jpg")
    put_labels(root, "obj_train_data/{}.txt")
    put(root, "obj.names", "cow\nsheep\n")
    put(root, "obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n")
    put(root, "train.txt", "".join(f"data/obj_train_data/{id}.jpg\n" for id in IMAGES))


def yolo_of_labelstudio(root):
    put_images(root, "images/{}.jpg")
    put_labels(root)
    put(root, "classes.txt", "cow\nsheep\n")
    put(root, "notes.json", '{"categories": [{"id": 0, "name": "cow"}], "info": {}}')


def yolo_of_labelimg(root):
    put_images(root)
    put_labels(root, "{}.txt")
    put(root, "classes.txt", "cow\nsheep\n")


def marks(box):
    left, top, right, bottom = box
    return [{"type": "box", "class": named(box), "points": [[left, top], [right, bottom]]}]


LAYOUTS = {
    "voc": (
        roboflow_voc,
        labelimg_flat,
        labelimg_two_folders,
        voc_without_image_sets,
        labelstudio_voc,
        voc_lists_with_endings,
        voc_declared_gb2312,
        rolabelimg,
        voc_xml_named_otherwise,
    ),
    "coco": (
        coco_of_labelstudio,
        coco_with_backslashes,
        coco_of_labelme2coco,
        coco_of_fiftyone,
        coco_of_roboflow,
        coco_in_a_folder_of_the_split,
        coco_of_another_machine,
        coco_with_ids_as_text,
        coco_with_ids_as_floats,
    ),
    "yolo": (
        yolo,
        yolo_with_confidence,
        yolo_pose,
        yolo_pose_with_an_even_count,
        yolo_beside_another_yaml,
        yolo_lists_with_backslashes,
        yolo_of_cvat,
        darknet,
        yolo_of_labelstudio,
        yolo_of_labelimg,
    ),
}


@pytest.mark.parametrize(
    ("format", "layout"), [(name, layout) for name, many in LAYOUTS.items() for layout in many]
)
def test_every_layout_gives_the_images_and_boxes(tmp_path, format, layout):
    layout(tmp_path)
    assert detect_format(tmp_path) == format
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", *NAMES)
    assert {s.id.rpartition("/")[2]: s.boxes for s in dataset.samples} == BOXES
    assert {sample.split for sample in dataset.samples} == {"train"}
    noted = ["confidence at the end of a line"] * 3 if layout is yolo_with_confidence else []
    assert [problem.kind for problem in dataset.problems] == noted


def test_leftovers_of_file_managers_are_no_annotations(tmp_path):
    roboflow_voc(tmp_path)
    put(tmp_path, "__MACOSX/train/._im0.xml", "<annotation/>")
    put(tmp_path, "train/.ipynb_checkpoints/im0-checkpoint.jpg")
    put(tmp_path, "train/Thumbs.db", "x")
    dataset = read_dataset(tmp_path)
    assert sorted(sample.id for sample in dataset.samples) == ["im0", "im1"]
    assert dataset.problems == ()


def test_images_without_xml_are_not_annotated(tmp_path):
    labelimg_flat(tmp_path)
    put(tmp_path, "im2.jpg")
    last = read_dataset(tmp_path).samples[2]
    assert (last.id, last.annotations) == ("im2", ())


def test_splits_of_xml_files_are_their_folders(tmp_path):
    for split in ("train", "valid"):
        put_images(tmp_path, split + "/{}.jpg")
        put_xmls(tmp_path, split + "/{}.xml")
    dataset = read_dataset(tmp_path)
    assert [(s.split, s.id) for s in dataset.samples] == [
        *(("train", id) for id in IMAGES),
        *(("valid", id) for id in IMAGES),
    ]


def test_what_no_reader_knows_is_described(tmp_path):
    put(tmp_path, "shapes.json", '{"polygons": []}')
    put_images(tmp_path)
    with pytest.raises(InputError, match=r"2 \.jpg.* \(shapes\.json begins with .*polygons") as e:
        detect_format(tmp_path)
    assert 'a JSON file with lists "images" and "annotations" (coco)' in str(e.value)


# What cannot be used is unknown, not background.

OUTSIDE = np.zeros((HEIGHT, WIDTH), bool)
OUTSIDE[COW[1] : COW[3], COW[0] : COW[2]] = True
OUTSIDE = ~OUTSIDE


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        ("1 nan 0.5 0.1 0.1", Unknown((2,))),
        ("1 0.5 0.5", Unknown((2,))),
        ("1 9 9 0.1 0.1", Unknown((2,))),
        ("7 0.5 0.5 0.5 0.5", Unknown(area=(10, 7, 30, 23))),
        ("? 0.5", Unknown()),
        (",", Unknown()),
    ],
)
def test_an_unusable_object_is_not_background(tmp_path, line, unknown):
    yolo(tmp_path)
    put(tmp_path, "labels/im0.txt", yolo_line(COW) + line)
    dataset = read_dataset(tmp_path)
    sample = dataset.samples[0]
    assert sample.annotations == (Boxes(BOXES["im0"]), unknown)
    assert {problem.subject for problem in dataset.problems} == {"labels/im0.txt:2"}
    constraints = constraints_of(sample, 3)
    assert 2 in constraints.classes
    where = np.zeros((HEIGHT, WIDTH), bool)
    where[unknown.slices] = True
    # Sheep may be there; elsewhere outside of the boxes it is background for certain.
    sheep = constraints.allowed[list(constraints.classes).index(2)]
    assert (sheep == where).all()
    assert ((constraints.known == 0) == (OUTSIDE & ~where)).all()


@pytest.mark.parametrize("name", ["box", "box_inner", "grabcut", "superpixel_votes"])
def test_no_seed_teaches_background_where_something_is_unknown(tmp_path, name):
    yolo(tmp_path)
    put(tmp_path, "labels/im0.txt", yolo_line(COW) + "1 nan 0.5 0.1 0.1\n")
    example = read_dataset(tmp_path).samples[0].example()
    label_map = find_seed(SeedParams(name=name))(example, np.random.default_rng(0))
    assert (label_map[OUTSIDE] == IGNORE).all()


def test_an_object_without_class_leaves_its_pixels_out_of_a_full_mask(tmp_path):
    put_images(tmp_path)
    page = json.loads(coco())
    for mark, box in zip(page["annotations"], (COW, COW, SHEEP), strict=True):
        left, top, right, bottom = box
        mark["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    page["annotations"][2]["category_id"] = 9
    put(tmp_path, "annotations.json", json.dumps(page))
    second = read_dataset(tmp_path, use="masks").samples[1]
    labels = constraints_of(second, 3).known
    assert (labels[SHEEP[1] : SHEEP[3], SHEEP[0] : SHEEP[2]] == IGNORE).all()
    assert (labels[COW[1] : COW[3], COW[0] : COW[2]] == 1).all()
    assert (labels == 0).sum() == HEIGHT * WIDTH - 10 * 10 - 12 * 12


def test_crowds_are_objects_by_a_setting(tmp_path):
    put_images(tmp_path)
    put(tmp_path, "annotations.json", coco(crowd=1))
    for crowds, expected in (("ignore", True), ("objects", False)):
        dataset = read_weak(DataParams(root=tmp_path, val=None, crowds=crowds))
        assert {box.crowd for sample in dataset.samples for box in sample.boxes} == {expected}


def test_links_are_followed_by_a_setting(tmp_path):
    labelimg_flat(tmp_path / "data")
    (tmp_path / "data/im0.jpg").rename(tmp_path / "outside.jpg")
    (tmp_path / "data/im0.jpg").symlink_to(tmp_path / "outside.jpg")
    for links, ids in ((False, ["im1"]), (True, ["im0", "im1"])):
        dataset = read_weak(DataParams(root=tmp_path / "data", val=None, links=links))
        assert [sample.id for sample in dataset.samples] == ids


def test_a_mask_is_never_taken_for_a_missing_image(tmp_path):
    voc(tmp_path)
    put(tmp_path, "SegmentationClass/im0.png")
    (tmp_path / "JPEGImages/im0.jpg").unlink()
    dataset = read_dataset(tmp_path)
    assert [sample.id for sample in dataset.samples] == ["im1"]
    assert [problem.subject for problem in dataset.problems if problem.fatal] == ["im0"]


def test_what_is_unusable_of_a_class_left_out_is_nothing(tmp_path):
    yolo(tmp_path)
    put(tmp_path, "labels/im0.txt", yolo_line(COW) + "1 nan 0.5 0.1 0.1\n")
    dataset = read_weak(DataParams(root=tmp_path, val=None, classes=["cow"]))
    assert dataset.samples[0].annotations == (Boxes(BOXES["im0"]),)


def test_an_unknown_mark_of_a_class_left_out_is_nothing(tmp_path):
    put_images(tmp_path)
    lines = [
        {"image": "im0.jpg", "marks": [{"type": "unknown", "class": "sheep"}, *marks(COW)]},
        {"image": "im1.jpg", "marks": marks(SHEEP)},
    ]
    put(tmp_path, "train.jsonl", "\n".join(map(json.dumps, lines)))
    for classes, unknown in ((None, (Unknown((2,)),)), (["cow"], ())):
        dataset = read_weak(DataParams(root=tmp_path, val=None, classes=classes))
        assert dataset.samples[0].unknown == unknown
        assert dataset.samples[0].boxes == BOXES["im0"]


def test_an_object_of_an_unknown_class_is_open_in_boxes_of_others_too(tmp_path):
    yolo(tmp_path)
    left, top, right, bottom = COW
    put(tmp_path, "labels/im0.txt", yolo_line(COW) + "7 " + yolo_line(COW)[2:])
    example = read_dataset(tmp_path).samples[0].example()
    label_map = find_seed(SeedParams(name="grabcut"))(example, np.random.default_rng(0))
    assert not (label_map[top:bottom, left:right] == 0).any()
    assert (label_map[OUTSIDE] == 0).all()


def test_one_damaged_label_file_does_not_hide_the_format(tmp_path):
    yolo_of_labelimg(tmp_path)
    put(tmp_path, "im0.txt", "cow 0.5\n")
    assert detect_format(tmp_path) == "yolo"


def test_a_damaged_xml_is_one_problem(tmp_path):
    labelimg_flat(tmp_path)
    put(tmp_path, "im0.xml", "<annotation><object>")
    dataset = read_dataset(tmp_path)
    assert [problem.subject for problem in dataset.problems] == ["im0.xml"]
    assert dataset.samples[0].annotations == ()


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    coco_of_labelme2coco(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("wsseg.data.formats.files.open_regular", refuse)
    with pytest.raises(InputError, match=r"annotations\.json must be .* got Permission"):
        detect_format(tmp_path)


def test_a_class_that_is_only_unknown_is_not_absent_for_tags(tmp_path):
    put_images(tmp_path)
    lines = [
        {"image": "im0.jpg", "marks": [{"type": "unknown", "class": "sheep"}, *marks(COW)]},
        {"image": "im1.jpg", "marks": marks(SHEEP)},
    ]
    put(tmp_path, "train.jsonl", "\n".join(map(json.dumps, lines)))
    first, second = read_dataset(tmp_path, use="tags").samples
    assert first.tagged == (1,)
    assert candidate_classes(first, 3) == (0, 1, 2)
    assert candidate_classes(second, 3) == (0, 2)
