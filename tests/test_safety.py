"""The source must never execute the content of a file."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("wsseg", "pipelines") for path in (REPOSITORY / folder).rglob("*.py")
)
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal"}
HARMLESS = {"pickle.UnpicklingError"}  # an exception, to be caught
RUNNERS = {"eval", "exec", "compile", "__import__"}
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "npy.read_array": ("allow_pickle", False),
}
FORBIDDEN = {
    *("torch.jit.load", "joblib.load", "pd.read_pickle", "pandas.read_pickle", "np.fromregex"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.full_load_all"),
    *("shutil.unpack_archive", "tarfile.open", "lightning.Fabric.load"),
}
SAFE_LOADERS = {"yaml.BaseLoader", "yaml.SafeLoader", "yaml.CSafeLoader"}
XML_PARSERS = {"fromstring", "XML", "parse", "iterparse", "XMLParser", "XMLPullParser"}


def faults(source):
    """Yield each forbidden import or call of a source, with its line."""
    for node in ast.walk(ast.parse(source)):
        for fault in (*imported(node), *called(node)):
            yield f"{node.lineno}: {fault}"


def imported(node):
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    for name in names:
        if name.split(".")[0] in UNPICKLERS and name not in HARMLESS:
            yield f"imports {name}"
        if name.startswith("xml.") and name.split(".")[-1] in XML_PARSERS:
            yield f"imports {name}, which follows entities; defusedxml does not"


def called(node):
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if name in RUNNERS or name in FORBIDDEN:
        yield f"calls {name}"
    if name in NEEDED and keywords.get(NEEDED[name][0]) != str(NEEDED[name][1]):
        yield f"calls {name} without {NEEDED[name][0]}={NEEDED[name][1]}"
    if name in {"yaml.load", "yaml.compose", "yaml.parse"}:
        loaders = {keywords.get("Loader", ""), *map(ast.unparse, node.args[1:2])}
        if not loaders & SAFE_LOADERS:
            yield f"calls {name} without a safe loader"
    if keywords.get("shell", "False") != "False":
        yield f"calls {name} with a shell"
    if name.split(".")[-1] in {"extract", "extractall"}:
        yield f"calls {name}, which writes where an archive says"
    if (
        name.split(".")[-1] == "fit"
        and "ckpt_path" in keywords
        and keywords.get("weights_only") != "True"
    ):
        yield f"calls {name} without weights_only=True"
    if name.split(".")[-1] in XML_PARSERS - {"parse"} and keywords.get("forbid_dtd") != "True":
        yield f"calls {name} without forbid_dtd=True"


def test_no_module_runs_what_others_wrote():
    found = {
        path.relative_to(REPOSITORY).as_posix(): lines
        for path in SOURCES
        if (lines := list(faults(path.read_text())))
    }
    assert len(SOURCES) > 200 and found == {}


FAULTY = (
    "import pickle",
    "from pickle import loads",
    "from cloudpickle import load",
    "import shelve",
    "eval('1')",
    "def f():\n    exec(text)",
    "torch.load(path)",
    "torch.load(path, weights_only=False)",
    "torch.load(path, weights_only=chosen)",
    "np.load(path)",
    "np.load(path, allow_pickle=True)",
    "pd.read_pickle(path)",
    "yaml.load(text, Loader=yaml.Loader)",
    "yaml.load(text, yaml.UnsafeLoader)",
    "yaml.load(text)",
    "subprocess.run(line, shell=True)",
    "zipfile.ZipFile(path).extractall(folder)",
    "trainer.fit(model, ckpt_path=last)",
    "from xml.etree.ElementTree import fromstring",
    "fromstring(text)",
)


def test_every_fault_is_found():
    assert {source: len(list(faults(source))) for source in FAULTY} == dict.fromkeys(FAULTY, 1)


def test_what_is_allowed_is_no_fault():
    source = """
from pickle import UnpicklingError
from xml.etree.ElementTree import ParseError
import subprocess, yaml
torch.load(path, map_location="cpu", weights_only=True)
np.load(path, mmap_mode="r", allow_pickle=False)
yaml.load(text, Loader=yaml.BaseLoader)
subprocess.run(["git", "status"], shell=False)
fromstring(text, forbid_dtd=True)
network.eval()
re.compile("a")
"""
    assert list(faults(source)) == []
