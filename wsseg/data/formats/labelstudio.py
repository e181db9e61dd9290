"""Label Studio: one JSON of tasks, exported as "JSON" or "JSON_MIN"."""

import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from wsseg.data.formats.files import beginning, read_json
from wsseg.data.formats.geometry import plausible_size
from wsseg.data.formats.labelstudio_marks import (
    ABOUT_IMAGES,
    Result,
    is_region,
    mark_of,
    names_of,
    regions_of,
    value_of,
)
from wsseg.data.formats.paths import safe_name, tail_of
from wsseg.data.formats.raw import RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError
from wsseg.images import SUFFIXES

_KEYS = tuple(
    f'"{key}"'
    for key in ("annotations", "data", "original_width", "annotation_id", "annotator", "rle")
)
_LOCAL, _UPLOAD = "/data/local-files/", "/data/upload/"
_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_SCHEME = re.compile(r"^\w+:/*")
_REMARKS = ("relation", "textarea", "number", "rating", "datetime", "pairwise", "ranker")
_OF_MIN = ("annotator", "annotation_id")  # both stand behind the results in "JSON_MIN"
_TIMES = ("created_at", "updated_at")
_UNREADABLE = "mark that cannot be read"


def read_labelstudio(path: Path) -> RawFile:
    """Return the content of an export of Label Studio as "JSON" or "JSON_MIN", without class names.

    Of each task, the annotation that is ground truth is read, else the one that was changed last. A
    submitted annotation without any region says that the image shows no object. Tasks that were
    skipped, drafts and predictions say nothing. A rotated rectangle gives its bounding box, a key
    point a click of the size that the tool draws (its "width" is the radius in per cent of the
    image's width), an ellipse a polygon, and a brush or bitmask all pixels that it touches. A
    region without a label has the class of its choices. Choices about the image are its tags, so a
    set of choices about something else should not be exported. A region that cannot be used leaves
    its class unknown.

    Images are named by the address of the task; that of an upload is its last part, with or without
    the eight characters that Label Studio puts before it.

    Raises:
        InputError: The file is missing, damaged, or another of Label Studio's exports.
    """
    images, log = list[RawImage](), ProblemLog()
    for index, task in enumerate(_tasks(path)):
        subject = f"{path.name} [{index}]"
        with log.leaving_out(subject, "task that cannot be read"):
            images.append(_annotated_image(task, subject, log))
    uploads = Counter(image.other_names for image in images if image.other_names)
    for names, count in uploads.items():
        if count > 1:
            message = f"{count} tasks of uploads named {names[-1]!r}; if they are different images,"
            message += " keep them under the names that Label Studio gave them"
            log.add(path.name, message, "several uploads of one name")
    return RawFile(tuple(images), problems=log.problems)


def _tasks(path: Path) -> list[Any]:
    rule, remedy = "a list of tasks of Label Studio", 'export it as "JSON"'
    tasks = read_json(path, rule, list, remedy)
    if any(isinstance(task, dict) and "data" in task for task in tasks):
        return tasks
    records = [task for task in tasks if isinstance(task, dict) and task.keys() & {*_OF_MIN}]
    if tasks and not records:
        raise InputError(path, rule, "neither 'data' nor 'annotator' in them", remedy)
    return list(_tasks_of_min(records))


def _tasks_of_min(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the tasks of "JSON_MIN", where each annotation is a flat record."""
    tasks: dict[object, dict[str, Any]] = {}
    for record in records:
        data = {key: value for key, value in record.items() if isinstance(value, str)}
        choices = _choices_of_min(record)
        results = [
            _result_of_min(key, value)
            for key in record
            for value in (record[key] if isinstance(record[key], list) else [record[key]])
            if isinstance(value, dict) or (isinstance(value, str) and key in choices)
        ]
        id = record.get("id") if isinstance(record.get("id"), int | str) else len(tasks)
        task = tasks.setdefault(("id", id), {"data": data, "annotations": []})
        if record.get("annotation_id", 0) is not None:  # None: nobody has annotated it
            made = {"result": results, "updated_at": record.get("updated_at")}
            task["annotations"].append(made)
    yield from tasks.values()


def _choices_of_min(record: dict[str, Any]) -> list[str]:
    """Return the keys of single choices, which are text like the data of a task.

    They stand between the number of the task and the annotator.

    Raises:
        InputError: The keys were sorted, so that choices cannot be told from data.
    """
    keys = list(record)
    stop = min(keys.index(key) for key in _OF_MIN if key in record)
    if "id" in keys[:stop]:
        return [key for key in keys[keys.index("id") + 1 : stop] if not _is_image(str(record[key]))]
    texts = [key for key, value in record.items() if isinstance(value, str)]
    if unclear := [key for key in texts if key not in _TIMES and not _is_image(record[key])]:
        message = f"The keys of JSON_MIN were sorted: {unclear[0]!r} may be a choice or a part of"
        raise InputError(f"{message} the data", hint="use the file as Label Studio exports it")
    return []


def _result_of_min(control: str, value: dict[str, Any] | str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"type": "choices", "value": {"choices": [value]}}
    kind = next((key for key in (*ABOUT_IMAGES, "text") if key in value), "region")
    place = {key: part for key, part in value.items() if key in ("x", "y", "points", "rle")}
    sizes = {key: value.get(key) for key in ("original_width", "original_height")}
    id = repr(place) if place else None  # results about one region stand at the same place
    kind = "textarea" if kind == "text" else kind
    return {"id": id, "from_name": control, "type": kind, "value": value, **sizes}


def _annotated_image(task: Any, subject: str, log: ProblemLog) -> RawImage:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise InputError("task", "an object with 'data'", reprlib.repr(task), "export it again")
    name, *other_names = _image_names(task)
    found = _results(task, subject, log)
    results = found or []
    sizes = (
        plausible_size(result.get("original_height"), result.get("original_width"))
        for _, result in results
    )
    size = next(filter(None, sizes), None)
    if turned := [result for _, result in results if result.get("image_rotation")]:
        message = f"turned by {reprlib.repr(turned[0]['image_rotation'])} degrees while it was "
        message += "drawn on; the marks are taken as those of the image as it is"
        log.add(subject, message, "image turned in the tool")
    marks, tags = list[RawMark](), list[str]()
    for region in regions_of(results):
        _read_region(region, size, marks, tags, log)
    return RawImage(
        *(subject, name, tuple(marks), size),
        tags=tuple(dict.fromkeys(tags)) or None,
        tags_are_remarks=True,
        objects=() if found == [] else None,
        other_names=tuple(other_names),
    )


def _read_region(
    region: list[Result],
    size: tuple[int, int] | None,
    marks: list[RawMark],
    tags: list[str],
    log: ProblemLog,
) -> None:
    """Append the mark of a region, or the tags of the image, or note why there are none."""
    (place, result), value = region[0], value_of(region)
    if not is_region(value) and result.get("type") in _REMARKS:
        message = f"{result['type']} says nothing about classes; left out"
        log.add(place, message, _UNREADABLE)
        return
    labels = next((value[key] for key in value if key.endswith("labels")), None)
    name = labels[0] if isinstance(labels, list) and labels else ""
    with log.or_unknown(marks, place, _UNREADABLE, name):
        if result.get("type") in ABOUT_IMAGES and not is_region(value):
            tags += names_of(value)
        else:
            marks.append(mark_of(region, size, log))


def _image_names(task: dict[str, Any]) -> tuple[str, ...]:
    """Return the names that the image of a task may have; ``RawImage`` says how they are used."""
    data, upload = task["data"], task.get("file_upload")
    texts = [value for value in data.values() if isinstance(value, str)]
    images = [text for text in texts if _is_image(text)]
    found = data.get("image") or (images[0] if len(images) == 1 else upload)
    if not isinstance(found, str) or found.startswith("data:"):
        rule, remedy = "a file's address as 'image'", "keep the images in files"
        raise InputError("data", rule, reprlib.repr(data), remedy)
    address = _path_of(found)
    last = safe_name(re.split(r"[/\\]", address)[-1]).as_posix()
    if _UPLOAD in found or found == upload:
        return tuple(dict.fromkeys((last, _PREFIX.sub("", last))))
    tail = tail_of(address)
    # The folders of a bucket or server need not be those of the data set: see ``ImageIndex``.
    return (f"/{tail}" if tail.parts[1:] else last,)


def _path_of(address: str) -> str:
    """Return the path in an address, where local files stand in its query."""
    path, _, query = address.partition("?")
    local = parse_qs(query).get("d") if path.endswith(_LOCAL) else None
    return local[0] if local else _SCHEME.sub("/", unquote(path))


def _is_image(address: str) -> bool:
    return _path_of(address).lower().endswith(SUFFIXES)


def _results(task: dict[str, Any], subject: str, log: ProblemLog) -> list[Result] | None:
    """Return the results of the annotation that counts; None if nobody has submitted one."""
    annotations = task.get("annotations", task.get("completions"))
    if annotations is None and task.get("predictions"):
        annotations = []
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise InputError("annotations", "a list", reprlib.repr(annotations), 'export as "JSON"')
    skipped = ("was_cancelled", "skipped")
    kept = [pair for pair in enumerate(annotations) if not any(pair[1].get(key) for key in skipped)]
    if not kept:
        if task.get("predictions"):
            message = "no annotation by a person; its predictions are not used, accept them"
            log.add(subject, message, "predictions alone")
        return None
    kept = [pair for pair in kept if pair[1].get("ground_truth") is True] or kept
    index, last = max(kept, key=lambda pair: (str(pair[1].get("updated_at") or ""), pair[0]))
    if len(kept) > 1:
        message = f"{len(kept)} annotations of an image; the one that was changed last is used"
        log.add(subject, message, "several annotations of an image")
    listed = expect(last.get("result"), list, "result", "a list", "export it again")
    results = list[Result]()
    for position, result in enumerate(listed):
        place = f"{subject} annotations[{index}].result[{position}]"
        # What is no object may have been a mark of any class.
        results.append((place, result if isinstance(result, dict) else {"type": result}))
    return results


def is_labelstudio(path: Path) -> bool:
    """Return whether a file is a JSON export of Label Studio, by its name and first bytes."""
    if path.suffix.lower() != ".json":
        return False
    text = beginning(path)
    return text.startswith("[") and any(key in text for key in _KEYS)


LABELSTUDIO = tool_format(
    "labelstudio",
    "*.json of Label Studio",
    ("*.json", "annotations/*.json"),
    is_labelstudio,
    read_labelstudio,
)
"""One file for a project, or one for each split."""
