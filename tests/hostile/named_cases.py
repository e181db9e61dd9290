"""Hostile names, paths and texts."""

from helpers.formats import coco_page, image_bytes
from hostile.bombs import LAUGHS, OUTSIDE_ENTITY, YAML_LAUGHS
from hostile.changes import COCO_JSON, LINE, Case, coco, put, replaced

_XML_LEVELS = "<a>" * 50_000 + "</a>" * 50_000

PATHS = (
    *(
        Case(
            f"image {shown} in a list of VOC",
            "voc",
            put("ImageSets/Segmentation/train.txt", f"a\nb\n{name}\n"),
            1,
            "must be a file of the data set",
        )
        for shown, name in (("../../secret", "../../secret"), ("/etc/passwd", "/etc/passwd"))
    ),
    *(
        Case(
            f"file_name {name} of COCO",
            "coco",
            coco(image_file_name=name),
            1,
            "must be a file of the data set",
        )
        for name in ("../../secret.png", "/etc/passwd", "x/../../../secret.png", "..\\secret.png")
    ),
    Case(
        "file_name of 100,000 characters",
        "coco",
        coco(image_file_name="x" * 100_000),
        1,
        "a file of the data set",
    ),
    Case("file_name with NUL", "coco", coco(image_file_name="a\0.png"), 1, "printable"),
    Case(
        "YOLO's path to a folder outside",
        "yolo",
        put("data.yaml", "path: ../..\ntrain: images/train\nnames: [cow, sheep]\n"),
        0,
        "path of data.yaml leads elsewhere",
    ),
    Case(
        "YOLO's train to a folder outside",
        "yolo",
        put("data.yaml", "train: ../../elsewhere\nnames: [cow, sheep]\n"),
        2,
        "a folder or list of images inside",
    ),
    Case(
        "line of YOLO's list to a file outside",
        "yolo",
        put("val.txt", "images/val/c.png\n../secret.png\n/etc/passwd\n"),
        1,
        "must be a file of the data set",
    ),
    Case(
        "image ../secret.png in CSV",
        "csv",
        put("train.csv", "../secret.png,cow\na,sheep\n"),
        1,
        "must be a file of the data set",
    ),
    Case(
        "image ../secret.png in JSON Lines",
        "jsonl",
        put("train.jsonl", LINE + '{"image": "../secret.png"}\n{"image": "a.png"}\n'),
        0,
        "a relative name without '..'",
    ),
    Case(
        "name and subset with '..' in CVAT",
        "cvat",
        replaced("annotations.xml", b'name="a.png"', b'name="../secret.png" subset="../x"'),
        0,
        "a relative name without '..'",
    ),
    Case(
        "imagePath ../../b.png of LabelMe, of which the last part counts",
        "labelme",
        replaced("a.json", b'"a.png"', b'"../../etc/a.png"'),
        0,
    ),
    Case(
        "address of an image outside in Label Studio, of which the last part counts",
        "labelstudio",
        replaced(
            "project.json",
            b"/data/upload/3/0a1b2c3d-a.png",
            b"/data/local-files/?d=../../etc/a.png",
        ),
        0,
    ),
    Case(
        "clicks on ../../secret",
        "clicks",
        put(
            "clicks/clicks.json",
            '{"../../secret": [{"x": 1, "y": 2, "cls": 10}], "a": [{"x": 1, "y": 2, "cls": 10}]}',
        ),
        0,
        "a relative name without '..'",
    ),
    Case(
        "scribbles on ../secret.png",
        "scribbles_xml",
        replaced("scribbles/a.xml", b"a.png", b"../secret.png", "scribbles/b.xml"),
        1,
        "a relative name without '..'",
    ),
)
"""Names that lead to other places."""

NAMES = (
    Case(
        "one image id twice",
        "coco",
        coco(images=[*coco_page()["images"]] * 2),
        1,
        "an image of its own id",
    ),
    Case(
        "one file name twice",
        "coco",
        coco(images=[*coco_page()["images"], {"id": 3, "file_name": "a.png"}]),
        0,
        "no plausible 'height' and 'width'",
    ),
    Case(
        "one category id twice",
        "coco",
        coco(categories=[{"id": 1, "name": "cow"}, {"id": 1, "name": "sheep"}]),
        2,
        "a whole number of its own as 'id'",
    ),
    Case(
        "one class name twice",
        "coco",
        coco(categories=[{"id": 1, "name": "cow"}, {"id": 2, "name": "cow"}]),
        2,
        "distinct",
    ),
    Case(
        "100,000 classes",
        "coco",
        coco(categories=[{"id": i, "name": f"c{i}"} for i in range(1, 100_001)]),
        2,
        "1 to 254 classes",
    ),
    Case(
        "class name with an escape sequence",
        "coco",
        coco(categories=[{"id": 1, "name": "\x1b[31mcow"}, {"id": 2, "name": "sheep"}]),
        2,
        "a printable name",
    ),
    Case(
        "line twice in a list",
        "voc",
        put("ImageSets/Segmentation/train.txt", "a\na\nb\n"),
        0,
        "image listed twice in a split",
    ),
    Case(
        "a.png and a.jpg",
        "voc",
        put("JPEGImages/a.jpg", image_bytes("jpg")),
        0,
        "two images of one name",
    ),
    Case(
        "row twice in CSV",
        "csv",
        put("train.csv", "a,cow\na,sheep\nb,sheep\n"),
        0,
        "image listed twice in a split",
    ),
)
"""Duplicate names, and values that are no names."""

TEXTS = (
    Case(
        "a thousand million laughs in XML",
        "voc",
        put("Annotations/a.xml", f"{LAUGHS}<annotation>&j;</annotation>"),
        1,
        "without DTD",
    ),
    Case(
        "the same in CVAT",
        "cvat",
        put("annotations.xml", f"{LAUGHS}<annotations>&j;</annotations>"),
        2,
        "without DTD",
    ),
    Case(
        "external entity in XML",
        "voc",
        put("Annotations/a.xml", f"{OUTSIDE_ENTITY}<annotation>&j;</annotation>"),
        1,
        "without DTD",
    ),
    Case(
        "external entity in scribbles",
        "scribbles_xml",
        put("scribbles/b.xml", f"{OUTSIDE_ENTITY}<annotation><polygon>&j;</polygon></annotation>"),
        1,
        "without DTD",
    ),
    Case(
        "XML of 50,000 levels",
        "voc",
        put("Annotations/a.xml", f"<annotation>{_XML_LEVELS}</annotation>"),
        0,
    ),
    Case("JSON of 100,000 levels", "coco", put(COCO_JSON, "[" * 100_000), 2, "readable JSON"),
    Case(
        "number of 5,000 digits in JSON",
        "coco",
        put(COCO_JSON, '{"images": [' + "9" * 5000 + "]}"),
        2,
        "readable JSON",
    ),
    Case(
        "aliases of aliases in YAML",
        "yolo",
        put("data.yaml", f"{YAML_LAUGHS}names: *i\ntrain: *i\n"),
        2,
        "with 'names'",
    ),
    Case(
        "YAML of 2 MB",
        "yolo",
        put("data.yaml", "names: [cow]\n" + "# [[[[\n" * 300_000),
        2,
        "at most 1,048,576 characters",
    ),
    Case(
        "YAML tag that makes an object",
        "yolo",
        put("data.yaml", "names: !!python/object/apply:os.system [id]\ntrain: images/train\n"),
        0,
    ),
    Case(
        "UTF-8 with a byte order mark",
        "csv",
        put("train.csv", b"\xef\xbb\xbfimage,tags\na,cow\nb,sheep\n"),
        0,
    ),
    Case(
        "class list in Latin-1",
        "csv",
        put("classes.txt", "vache\nbœuf\né\n".encode("cp1252")),
        2,
        "UTF-8 text, got byte",
    ),
)
"""Text files that expand, or have another encoding."""
