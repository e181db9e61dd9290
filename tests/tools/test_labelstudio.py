"""A server of Label Studio imports predictions, and wsseg reads what it exports."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from helpers.tools import CLASSES, SIZE, TOOLS

from wsseg.data.annotation import Box, Boxes
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.brush import brush_mask, packed_brush
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import with_annotations
from wsseg.data.model import Dataset, Sample

pytestmark = pytest.mark.slow

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PORT = 18_081
START = 500  # seconds: it creates its database first

BOXES = """<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">
<Label value="cow"/><Label value="sheep"/></RectangleLabels></View>"""


class Server:
    """The API of a running server."""

    def __init__(self, root):
        self.root, self.address = root, f"http://localhost:{PORT}"

    def get(self, path):
        request = urllib.request.Request(self.address + path)
        request.add_header("Authorization", f"Token {TOKEN}")
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.read()

    def post(self, path, content, kind="application/json"):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        request = urllib.request.Request(self.address + path, data, method="POST")
        request.add_header("Authorization", f"Token {TOKEN}")
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.loads(reply.read() or b"null")

    def project(self, interface):
        content = {"title": "wsseg", "label_config": interface}
        return self.post("/api/projects", content)["id"]

    def tasks(self, project):
        listed = json.loads(self.get(f"/api/tasks?project={project}&fields=all&page_size=100"))
        return sorted(listed["tasks"], key=lambda task: task["id"])

    def submit(self, task, result, **more):
        content = {"result": result, "lead_time": 1.0, **more}
        return self.post(f"/api/tasks/{task['id']}/annotations/", content)

    def export(self, project, kind, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        query = f"exportType={kind}&download_all_tasks=true"
        path.write_bytes(self.get(f"/api/projects/{project}/export?{query}"))
        return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose local files are those below its "files"."""
    program = TOOLS / "label-studio" / "bin" / "label-studio"
    if not program.exists():
        pytest.skip(f"label-studio is not installed in {TOOLS}; call make test-tools")
    root = tmp_path_factory.mktemp("server")
    (root / "files").mkdir()
    variables = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ} | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(root / "data"),
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(root / "files"),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    command = [program, "start", "--no-browser", "--port", str(PORT)]
    command += ["--username", "a@example.org", "--password", "not-a-secret"]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env=variables)
        try:
            running = Server(root)
            wait_for(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(60)


def wait_for(server, process):
    for _ in range(START):
        try:
            server.get("/health")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            assert process.poll() is None, (server.root / "log").read_text()[-4000:]
            time.sleep(1)
        else:
            return
    pytest.fail(f"the server has not started in {START} seconds")


def bare(label_maps, folder):
    """The images of an export, with one wrong box each."""
    wrong = (Boxes((Box(1, 0, 0, 9, 9),)),)
    samples = (Sample(id, folder / f"{id}.png", SIZE, wrong, "train") for id in label_maps)
    return Dataset(CLASSES, tuple(samples))


def test_predictions_are_accepted_skipped_and_emptied(server, export, label_maps, tmp_path):
    out = export("labelstudio")
    files = server.root / "files" / "images"
    (out / "images").rename(files)
    project = server.project((out / "labels.xml").read_text())
    storage = {"project": project, "path": str(files), "title": "images", "use_blob_urls": True}
    server.post("/api/storages/localfiles", storage)
    server.post(f"/api/projects/{project}/import", (out / "train.json").read_bytes())
    tasks = server.tasks(project)
    assert len(tasks) == len(label_maps) == 4
    for task, id in zip(tasks, label_maps, strict=True):
        assert server.get(task["data"]["image"]) == (files / f"{id}.png").read_bytes()
    first, second, third, fourth = tasks
    for task in (first, third):
        server.submit(task, task["predictions"][0]["result"])
    server.submit(second, [])
    server.submit(fourth, [], was_cancelled=True)
    path = server.export(project, "JSON", tmp_path / "exported" / "project.json")
    corrected = with_annotations(bare(label_maps, files), [path], instead=True)
    found = {sample.id: sample for sample in corrected.samples}
    for id in ("a", "far away/a"):
        assert not found[id].boxes
        known = constraints_of(found[id], len(CLASSES)).known
        np.testing.assert_array_equal(known, label_maps[id])
    assert found["b"].annotations == (Boxes(()),)
    assert found["empty"].annotations == (Boxes((Box(1, 0, 0, 9, 9),)),)
    # JSON_MIN says the same about what was submitted.
    path = server.export(project, "JSON_MIN", tmp_path / "minimal" / "project.json")
    minimal = with_annotations(bare(label_maps, files), [path], instead=True)
    assert [s.annotations for s in minimal.samples] == [s.annotations for s in corrected.samples]


def test_uploaded_images_with_their_prefix_and_without(server, originals, tmp_path):
    """Uploads are renamed: eight characters come first, and blanks and brackets go."""
    project = server.project(BOXES)
    root = tmp_path / "set"
    for name in ("a.png", "my cow (1).png"):
        copy = root / "images" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((originals / "a.png").read_bytes())
        body, kind = multipart(name, copy.read_bytes())
        server.post(f"/api/projects/{project}/import", body, kind)
    drawn = {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "value": {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0},
    }
    for task, name in zip(server.tasks(project), ("cow", "sheep"), strict=True):
        value = {**drawn["value"], "rectanglelabels": [name]}
        server.submit(task, [{**drawn, "id": "r1", "value": value}])
    for kind, name in (("JSON", "full"), ("JSON_MIN", "minimal")):
        (root / "train.json").unlink(missing_ok=True)
        server.export(project, kind, root / "train.json")
        dataset = read_dataset(root)
        assert dataset.problems == (), name
        boxes = {s.id: s.boxes for s in dataset.samples}
        assert boxes == {
            "a": (Box(1, 12, 9, 72, 54),),
            "my cow (1)": (Box(2, 12, 9, 72, 54),),
        }


def multipart(name, content):
    line = b"--boundary"
    head = f'Content-Disposition: form-data; name="{name}"; filename="{name}"'.encode()
    parts = [line, head, b"Content-Type: image/png", b"", content, line + b"--", b""]
    return b"\r\n".join(parts), "multipart/form-data; boundary=boundary"


def test_brushes_are_those_of_the_converter(tool, label_maps):
    """Both ways: their run lengths of our mask, and ours of theirs."""
    mask = label_maps["a"] == 1
    script = """
import json, sys
import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
ours = json.loads(sys.argv[1])
mask = decode_rle(ours).reshape(90, 120, 4)[..., 3]
print(json.dumps([mask.tolist(), list(map(int, mask2rle(mask)))]))
"""
    theirs, packed = tool("label-studio", script, json.dumps([*packed_brush(mask)]))
    np.testing.assert_array_equal(np.array(theirs) > 0, mask)
    np.testing.assert_array_equal(brush_mask(bytes(packed), SIZE), mask)
