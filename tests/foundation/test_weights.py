import json

import pytest
from helpers.sam import write_tiny_sam
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from wsseg.errors import InputError, MachineError
from wsseg.foundation import weights as module
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import fetch_weights, find_weights, must_be_downloaded

SETTING = "seeds.sam.model"
UNSTATED = "not stated (published weights: Apache-2.0)"
HUB = "facebook/sam2.1-hiera-tiny"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_tiny_sam(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original, tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    for file in original.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def find(folder, family="SAM"):
    return find_weights(str(folder), family, SETTING)


def test_a_local_folder_is_identified(folder):
    found = find(folder)
    assert (found.model_type, found.revision, found.licence) == ("sam", None, UNSTATED)
    assert found.record()["name"] == str(folder)
    assert len(found.sha256) == 64


def test_the_hash_depends_on_the_tensors_and_not_on_the_folder(folder, original):
    assert find(folder).sha256 == find(original).sha256
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert find(folder).sha256 != find(original).sha256


def test_the_licence_of_the_readme_counts(folder):
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: mine\n---\nText\n")
    assert find(folder).licence == "mine"


def remove(name):
    return lambda folder: (folder / name).unlink()


def truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def make_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def index_missing_shards(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("config.json"), "no readable config.json"),
        (remove("model.safetensors"), "lacks model.safetensors"),
        (remove("processor_config.json"), "no preprocessor_config.json"),
        (truncate, "must be a complete file of safetensors"),
        (make_pickle, "only as a pickle"),
        (index_missing_shards, "lacks model-00002-of-00002.safetensors"),
    ],
    ids=["config", "tensors", "processor", "truncated", "pickle", "shards"],
)
def test_incomplete_folders_are_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        find(folder)


def test_a_model_of_another_family_is_refused(folder):
    with pytest.raises(InputError, match=r"must be a CLIP model .* got a model of type sam"):
        find(folder, "CLIP")


def test_tensors_of_another_model_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="must be weights of a whole SamModel"):
        load_model(find(folder), "cpu")


@pytest.mark.parametrize("name", [None, ""])
def test_a_missing_name_is_an_error(name):
    with pytest.raises(InputError, match=r"seeds.sam.model must be the name of a SAM model"):
        find_weights(name, "SAM", SETTING)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        find(tmp_path / "none")


def hub_that_raises(monkeypatch, error):
    def snapshot(*_args, local_files_only, **_kwargs):
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        raise error

    monkeypatch.setattr(module, "snapshot_download", snapshot)
    monkeypatch.setattr(module, "is_offline_mode", lambda: False)


def response_error(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "403 Client Error")
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (response_error(GatedRepoError), r"Apache-2.0\) are gated; accept the licence"),
        (response_error(RepositoryNotFoundError), "has no public model"),
        (OSError("no route"), "cannot be downloaded: no route; connect to the network once, or"),
    ],
    ids=["gated", "unknown", "offline"],
)
def test_failed_downloads_name_the_licence_and_the_remedy(monkeypatch, error, message):
    hub_that_raises(monkeypatch, error)
    assert must_be_downloaded(HUB)
    with pytest.raises(InputError, match=message):
        fetch_weights(HUB, "SAM", SETTING)


def test_weights_that_are_not_on_this_machine_are_not_downloaded_silently(monkeypatch):
    hub_that_raises(monkeypatch, AssertionError("downloads"))
    with pytest.raises(InputError, match=r"\(seeds.sam.model, licence Apache-2.0\) are not on"):
        find_weights(HUB, "SAM", SETTING)


def test_a_model_of_the_hub_is_found_in_the_cache(monkeypatch, folder):
    commit = folder.rename(folder.parent / "0123abc")
    monkeypatch.setattr(module, "snapshot_download", lambda *_args, **_kwargs: str(commit))
    found = fetch_weights(HUB, "SAM", SETTING)
    assert (found.name, found.revision) == (HUB, "0123abc")


def test_a_name_that_no_hub_can_have_is_refused():
    with pytest.raises(InputError, match="must be a folder, or the name of a model on the hub"):
        find_weights("a b/c?", "SAM", SETTING)


def test_without_a_network_the_error_names_the_variable(monkeypatch):
    hub_that_raises(monkeypatch, AssertionError("downloads"))
    monkeypatch.setattr(module, "is_offline_mode", lambda: True)
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE forbids downloads; unset it"):
        fetch_weights(HUB, "SAM", SETTING)


def test_a_configuration_that_makes_no_sense_is_one_error(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = "two"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MachineError, match="cannot be loaded as SamModel"):
        load_model(find(folder), "cpu")


def test_an_index_cannot_lead_out_of_the_folder(folder):
    shards = {"a": "/etc/passwd", "b": "../model.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(InputError, match="lacks passwd"):
        find(folder)
