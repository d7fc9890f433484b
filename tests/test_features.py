"""Claims about features and weights: what extraction gives, what the files keep, which files are refused."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features.arrays import ARRAYS, Features, Readout
from methods.features.extract import extract, restore_model
from methods.features.readout import NAMES, readout_of
from methods.features.store import read_features, read_readout, write_features, write_readout
from methods.networks.model import build_model
from methods.networks.weights import load_model, require_architecture, save_model

NORMALISATION = {"mean": [0.3, 0.4, 0.5], "std": [0.2, 0.3, 0.4]}
CPU = torch.device("cpu")
ORIGIN = {"kind": "features", "seed": 3, "parents": {"model": "ab" * 32}, "settings": {}}
MODEL = {"kind": "model", "settings": {"architecture": {"classes": 3}}, "parents": {}}
HEADS = {"linear": {"kind": "linear"}, "two_layer": {"kind": "two_layer", "hidden": 5}, "none": None}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small networks are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def architecture(head="two_layer", projector=True):
    return {
        "network": {"name": "cifar_resnet", "blocks": [1, 1], "widths": [4, 6]},
        "classes": 3,
        "head": HEADS[head],
        "projector": {"hidden": 7, "dimension": 4} if projector else None,
    }


def images(count=23):
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    names = tuple(f"image{number}" for number in range(count))
    return ImageSet(pixels, random.randint(0, 3, count), names, ("a", "b", "c"))


def trained(**changes):
    """A model whose batch-norm statistics are not the initial ones, in evaluation mode."""
    torch.manual_seed(0)
    model = build_model(architecture(**changes))
    model(torch.randn(16, 3, 8, 8))
    return model.eval()


def tensors_of(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def features(count=5, **changes):
    random = np.random.RandomState(1)
    arrays = {name: random.randn(count, 3).astype(np.float32) for name in ARRAYS}
    names = tuple(f"image{number}" for number in range(count))
    return replace(Features(labels=np.arange(count), sample_ids=names, **arrays), **changes)


def written(folder, found=None, origin=ORIGIN):
    write_features(folder / "set.h5", found or features(), origin)
    return folder / "set.h5"


@pytest.mark.parametrize("head", HEADS)
def test_extraction_equals_a_direct_forward_pass(head):
    model, data = trained(head=head), images()
    pixels = torch.from_numpy(data.images).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(NORMALISATION[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        outputs = model((pixels - mean) / std)
    found = extract(model, data, NORMALISATION, CPU, batch=100)
    np.testing.assert_allclose(found.embedding, outputs.embedding, atol=1e-6)
    np.testing.assert_allclose(found.projection, outputs.projection, atol=1e-6)
    if head == "none":
        assert found.logits is None
    else:
        np.testing.assert_allclose(found.logits, outputs.logits, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 7, 22, 23, 1000])
def test_extraction_does_not_depend_on_the_batch_size(batch):
    model, data = trained(), images()
    whole, parts = (extract(model, data, NORMALISATION, CPU, batch=size) for size in (23, batch))
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=0, atol=1e-5)


def test_extraction_keeps_order_names_and_labels():
    model, data = trained(), images()
    turned = ImageSet(data.images[::-1].copy(), data.labels[::-1], data.sample_ids[::-1], data.classes)
    first, second = (extract(model, part, NORMALISATION, CPU, batch=5) for part in (data, turned))
    assert second.sample_ids == first.sample_ids[::-1]
    assert np.array_equal(second.labels, first.labels[::-1])
    np.testing.assert_allclose(second.embedding, first.embedding[::-1], atol=1e-6)


def test_extraction_gives_float32_and_leaves_the_model_as_it_was():
    model = trained()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = extract(model, images(), NORMALISATION, CPU, batch=5)
    assert {getattr(found, name).dtype for name in ARRAYS} == {np.dtype("float32")}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("head", "there"), [("linear", False), ("none", False), ("two_layer", True)])
def test_pooled_is_there_only_where_it_differs_from_the_embedding(tmp_path, head, there):
    found = extract(trained(head=head), images(), NORMALISATION, CPU, batch=50)
    assert (found.pooled is not None) is there
    with h5py.File(written(tmp_path, found)) as file:
        assert ("pooled" in file) is there


def test_a_model_without_projector_has_no_projection():
    assert extract(trained(projector=False), images(), NORMALISATION, CPU, batch=50).projection is None


def test_projections_are_unit_rows():
    projection = extract(trained(), images(), NORMALISATION, CPU, batch=50).projection
    np.testing.assert_allclose(np.linalg.norm(projection, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("head", ["linear", "two_layer"])
def test_the_readout_is_the_classifier_on_the_embedding(head):
    model = trained(head=head)
    found, readout = extract(model, images(), NORMALISATION, CPU, batch=50), readout_of(tensors_of(model))
    np.testing.assert_allclose(found.embedding @ readout.weight.T + readout.bias, found.logits, atol=1e-5)
    assert readout.prototypes is None


def test_the_readout_of_a_contrastive_model_is_its_prototypes():
    prototypes, classes = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    own = {"objective.prototypes": prototypes, "objective.prototype_classes": classes}
    readout = readout_of({**tensors_of(trained(head="none")), **own})
    assert readout.weight is readout.bias is None
    assert np.array_equal(readout.prototypes, prototypes)
    assert np.array_equal(readout.prototype_classes, classes)


def test_the_names_of_the_readout_are_its_fields():
    assert set(NAMES) == set(vars(Readout()))


def test_features_come_back_with_their_provenance(tmp_path):
    given = features(sample_ids=("a", "b/c.png", "naïve", "日本", "e f"))
    found, origin = read_features(written(tmp_path, given))
    assert origin == ORIGIN
    assert found.sample_ids == given.sample_ids
    for name in (*ARRAYS, "labels"):
        assert np.array_equal(getattr(found, name), getattr(given, name))


def test_parts_that_are_not_there_come_back_as_none(tmp_path):
    found, _ = read_features(written(tmp_path, features(pooled=None, logits=None, projection=None)))
    assert (found.pooled, found.logits, found.projection) == (None, None, None)


def test_only_the_arrays_asked_for_are_read(tmp_path):
    found, _ = read_features(written(tmp_path), arrays=("logits",))
    assert found.embedding is not None
    assert found.logits is not None
    assert found.projection is None


def test_several_labels_an_image_come_back(tmp_path):
    labels = np.eye(5, dtype=np.uint8)
    found, _ = read_features(written(tmp_path, features(labels=labels)))
    assert found.labels.dtype == np.uint8
    assert np.array_equal(found.labels, labels)


@pytest.mark.parametrize(("count", "rows"), [(5, 5), (512, 512), (600, 512)])
def test_features_lie_uncompressed_in_float32_and_chunks_of_at_most_512_rows(tmp_path, count, rows):
    wide = features(count, embedding=np.random.RandomState(0).randn(count, 6))
    with h5py.File(written(tmp_path, wide)) as file:
        assert file["embedding"].chunks == (rows, 6)
        assert {file[name].dtype for name in ARRAYS} == {np.dtype("float32")}
        assert {file[name].compression for name in ARRAYS} == {None}


def test_the_same_features_give_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    assert written(tmp_path).read_bytes() == written(tmp_path / "a", features()).read_bytes()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_a_truncated_feature_file_is_refused_by_name(tmp_path, kept):
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReproError, match=f"{path} cannot be read as HDF5 .* Delete it and run"):
        read_features(path)


def test_a_missing_feature_file_is_refused_by_name(tmp_path):
    with pytest.raises(ReproError, match=r"none\.h5 does not exist"):
        read_features(tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("origin", "found"), [({"kind": "images"}, "it has 'images'"), ({}, "it has no record of its origin")]
)
def test_a_file_of_another_kind_is_no_feature_file(tmp_path, origin, found):
    path = written(tmp_path, origin=origin)
    with pytest.raises(ReproError, match=f"{path} is not a file of kind 'features' made by this project: {found}"):
        read_features(path)


def edited(folder, **arrays):
    """A feature file in which datasets were replaced, or deleted where None is given."""
    path = written(folder)
    with h5py.File(path, "r+") as file:
        for name, array in arrays.items():
            del file[name]
            if array is not None:
                file[name] = array
    return path


@pytest.mark.parametrize("name", ["embedding", "labels", "sample_ids"])
def test_a_feature_file_without_a_needed_part_is_refused(tmp_path, name):
    path = edited(tmp_path, **{name: None})
    with pytest.raises(ReproError, match=f"{path} lacks {name}"):
        read_features(path)


def test_an_empty_feature_file_is_refused(tmp_path):
    none = {name: np.zeros((0, 3), np.float32) for name in ARRAYS}
    path = edited(tmp_path, labels=np.zeros(0, int), sample_ids=np.zeros(0, "S1"), **none)
    with pytest.raises(ReproError, match=f"{path} holds no image: an empty set cannot be scored"):
        read_features(path)


def test_features_of_unequal_lengths_are_refused(tmp_path):
    path = edited(tmp_path, logits=np.zeros((4, 3), np.float32))
    with pytest.raises(ReproError, match=f"{path} has 5 images but 4 rows of logits"):
        read_features(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_file_that_is_not_finite_is_refused(tmp_path, value):
    logits = features().logits.copy()
    logits[2:4, 1] = value
    path = edited(tmp_path, logits=logits)
    expected = rf"The logits features in {path} are NaN or infinite for 2 of 5 images \(first: image2\)"
    with pytest.raises(ReproError, match=expected):
        read_features(path)


@pytest.mark.parametrize("name", ARRAYS)
def test_features_that_are_not_finite_are_never_written(tmp_path, name):
    array = np.zeros((5, 3))
    array[4, 0] = np.nan
    with pytest.raises(
        ReproError, match=rf"The {name} features are NaN or infinite for 1 of 5 images \(first: image4\)"
    ):
        written(tmp_path, features(**{name: array}))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_of_features_is_never_written(tmp_path):
    with pytest.raises(ReproError, match=r"no features to write to .*set\.h5: the set is empty"):
        written(tmp_path, features(0))
    assert list(tmp_path.iterdir()) == []


def test_a_readout_comes_back_with_its_provenance(tmp_path):
    given = Readout(weight=np.eye(3, dtype=np.float32), bias=np.arange(3, dtype=np.float32))
    write_readout(tmp_path / "readout.h5", given, {"kind": "readout", "seed": 1})
    found, origin = read_readout(tmp_path / "readout.h5")
    assert origin == {"kind": "readout", "seed": 1}
    assert np.array_equal(found.weight, given.weight)
    assert np.array_equal(found.bias, given.bias)
    assert found.prototypes is found.prototype_classes is None


def test_a_feature_file_is_no_readout(tmp_path):
    path = written(tmp_path)
    with pytest.raises(ReproError, match=f"{path} is not a file of kind 'readout' .*: it has 'features'"):
        read_readout(path)


def saved(folder, tensors=None, origin=MODEL):
    save_model(folder / "model.safetensors", tensors or tensors_of(trained()), origin)
    return folder / "model.safetensors"


def test_a_model_file_gives_back_its_tensors_and_provenance(tmp_path):
    given = {**tensors_of(trained()), "objective.prototype_classes": np.arange(4), "objective.step": np.array(2.5)}
    found, origin = load_model(saved(tmp_path, given))
    assert origin == MODEL
    assert set(found) == set(given)
    for name, tensor in given.items():
        assert (found[name].shape, found[name].dtype) == (tensor.shape, tensor.dtype)
        assert np.array_equal(found[name], tensor)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    tensors = tensors_of(trained())
    turned = {name: np.asarray(tensor, order="F") for name, tensor in reversed(tensors.items())}
    second = saved(tmp_path / "a", turned, dict(reversed(MODEL.items())))
    assert saved(tmp_path, tensors).read_bytes() == second.read_bytes()


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.6, 0.999])
def test_a_truncated_model_file_is_refused_by_name(tmp_path, kept):
    path = saved(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ReproError, match=rf"The model file {path} is damaged \(.*\): delete it and run"):
        load_model(path)


def test_a_missing_model_file_is_refused_by_name(tmp_path):
    with pytest.raises(ReproError, match=r"The model file .*none\.safetensors does not exist"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"provenance": "[]"}, {"provenance": '{"kind": "checkpoint"}'}],
    ids=["none", "of another program", "no mapping", "another kind"],
)
def test_safetensors_without_our_record_are_refused(tmp_path, metadata):
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors", metadata=metadata)
    with pytest.raises(ReproError, match=r"foreign\.safetensors is no model file of this project"):
        load_model(tmp_path / "foreign.safetensors")


def test_foreign_safetensors_in_half_precision_are_not_called_damaged(tmp_path):
    save_torch_file({"weight": torch.zeros(3, dtype=torch.bfloat16)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ReproError, match=r"foreign\.safetensors is no model file of this project"):
        load_model(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 4}, "classes is 3, expected 4. Delete it"),
        ({"head": None}, "head is {'kind': 'two_layer', 'hidden': 5}, expected None. Delete it"),
        (
            {"classes": 4, "projector": None},
            "classes is 3, expected 4; projector is {'hidden': 7, 'dimension': 4}, exp",
        ),
    ],
)
def test_a_model_of_another_architecture_is_refused_and_the_difference_named(change, message):
    origin = {"settings": {"architecture": architecture()}}
    with pytest.raises(ReproError) as refusal:
        require_architecture("model.safetensors", origin, {**architecture(), **change})
    assert f"The model file model.safetensors is from another network: {message}" in str(refusal.value)


def test_a_model_of_the_same_architecture_is_taken():
    require_architecture("model.safetensors", {"settings": {"architecture": architecture()}}, architecture())


def test_a_restored_model_computes_what_the_saved_one_did(tmp_path):
    model = trained()
    tensors, _ = load_model(saved(tmp_path, {**tensors_of(model), "objective.prototypes": np.eye(2)}))
    restored = restore_model(architecture(), tensors, "model.safetensors")
    assert not restored.training
    first, second = (extract(part, images(), NORMALISATION, CPU, batch=50) for part in (model, restored))
    for name in ARRAYS:
        assert np.array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.classifier.bias": None}, r"Missing key.* \"head.classifier.bias\""),
        ({"head.extra": np.zeros(2, np.float32)}, r"Unexpected key.* \"head.extra\""),
        ({"head.classifier.bias": np.zeros(4, np.float32)}, "size mismatch for head.classifier.bias"),
    ],
    ids=["missing", "left over", "another shape"],
)
def test_weights_that_do_not_fit_the_network_are_refused(change, message):
    tensors = {name: tensor for name, tensor in {**tensors_of(trained()), **change}.items() if tensor is not None}
    with pytest.raises(ReproError, match=rf"The weights in here\.safetensors do not fit the network: .*{message}"):
        restore_model(architecture(), tensors, "here.safetensors")
