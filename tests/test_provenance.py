"""Claims about provenance, the digest of source code and the registry of parts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods import provenance, registry, source_digest
from methods.errors import ReproError
from methods.files import sha256_bytes, sha256_file

ROOT = Path(__file__).resolve().parents[1]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def turned(value):
    """The same value with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES)
def test_canonical_json_does_not_depend_on_key_order(value):
    assert provenance.canonical_json(turned(value)) == provenance.canonical_json(value)
    assert provenance.fingerprint(turned(value)) == provenance.fingerprint(value)


@given(VALUES)
def test_canonical_json_keeps_the_value(value):
    assert json.loads(provenance.canonical_json(value)) == value


def test_canonical_json_has_no_blanks_and_sorted_keys():
    assert provenance.canonical_json({"b": [1, 2.5], "a": {"d": None, "c": True}}) == (
        '{"a":{"c":true,"d":null},"b":[1,2.5]}'
    )


def test_different_settings_have_different_fingerprints():
    values = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": "1"}, {"a": [1]}, {}]
    assert len({provenance.fingerprint(value) for value in values}) == len(values)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_without_canonical_json_are_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        provenance.canonical_json({"rate": value})


@pytest.fixture
def parents(tmp_path):
    for name in ("model", "images", "other"):
        (tmp_path / name).write_text(name)
    return {role: tmp_path / role for role in ("model", "images")}


def record(parents, **changes):
    arguments = {"kind": "features", "settings": {"a": 1}, "source_digest": "d" * 64, "parents": parents, "seed": 3}
    return provenance.record(**{**arguments, **changes})


def test_a_record_names_kind_settings_code_seed_and_parents(parents):
    assert record(parents) == {
        "format": provenance.FORMAT,
        "kind": "features",
        "settings": {"a": 1},
        "source_digest": "d" * 64,
        "seed": 3,
        "parents": {"images": sha256_bytes(b"images"), "model": sha256_bytes(b"model")},
    }


def test_a_record_depends_on_neither_the_order_of_parents_nor_their_places(parents, tmp_path):
    (tmp_path / "moved").mkdir()
    moved = {role: shutil.copy(path, tmp_path / "moved" / f"{role}.copy") for role, path in reversed(parents.items())}
    assert provenance.canonical_json(record(moved)) == provenance.canonical_json(record(parents))


def test_a_child_is_taken_with_the_parent_it_was_made_from(parents):
    provenance.require_parent("child.h5", record(parents), "model", parents["model"])


def test_a_child_of_another_parent_is_refused(parents, tmp_path):
    expected = (
        rf"child\.h5 was made from another model than {tmp_path / 'other'}: it records sha256 "
        rf"{sha256_bytes(b'model')[:12]}, the file has {sha256_bytes(b'other')[:12]}\. Delete child\.h5"
    )
    with pytest.raises(ReproError, match=expected):
        provenance.require_parent("child.h5", record(parents), "model", tmp_path / "other")


def test_a_parent_changed_by_one_byte_is_another(parents):
    before = record(parents)
    parents["model"].write_text("Model")
    with pytest.raises(ReproError, match="was made from another model"):
        provenance.require_parent("child.h5", before, "model", parents["model"])


def test_a_child_without_a_record_of_the_role_is_refused(parents):
    with pytest.raises(ReproError, match=r"another outliers than .*: it records sha256 none, the file has"):
        provenance.require_parent("child.h5", record(parents), "outliers", parents["model"])


def test_two_files_from_the_same_parent_are_taken(parents):
    provenance.require_same("a.h5", "b.h5", "model", (record(parents), record(parents)))


def test_two_files_from_different_parents_are_refused(parents, tmp_path):
    records = (record(parents), record({**parents, "model": tmp_path / "other"}))
    with pytest.raises(
        ReproError, match=r"a\.h5 and b\.h5 do not come from the same model \(sha256 .* Delete the older"
    ):
        provenance.require_same("a.h5", "b.h5", "model", records)


def test_two_files_that_do_not_say_their_parent_are_refused(parents):
    with pytest.raises(ReproError, match=r"the same outliers \(sha256 none and none\)"):
        provenance.require_same("a.h5", "b.h5", "outliers", (record(parents), record(parents)))


def test_a_sidecar_holds_the_record_and_the_hash_of_its_file(parents, tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n")
    provenance.write_sidecar(tmp_path / "table.csv", record(parents))
    path = tmp_path / "table.csv.provenance.json"
    assert provenance.sidecar(tmp_path / "table.csv") == path
    assert json.loads(path.read_text()) == {**record(parents), "sha256": sha256_file(tmp_path / "table.csv")}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that writes modules of a small `methods` package and gives the digest of `methods.engine`."""
    monkeypatch.setattr(source_digest, "ROOT", tmp_path)

    def digest(*modules, **texts):
        for name, text in texts.items():
            path = tmp_path.joinpath("methods", *name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(text)
        source_digest._parse.cache_clear()
        return source_digest.source_digest(modules or ["methods.engine"])

    yield digest
    source_digest._parse.cache_clear()


ENGINE = '''"""What it does."""
from methods.parts import helper
def run(x):
    """How it runs."""
    return helper.double(x) + 1
'''
HELPER = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "same",
    [
        ENGINE.replace("What it does.", "Something else."),
        ENGINE.replace('    """How it runs."""\n', ""),
        "# a comment\n" + ENGINE.replace("+ 1", "+ 1  # one more"),
        ENGINE.replace("helper.double(x) + 1", "(\n        helper.double( x )\n        + 1\n    )"),
        ENGINE.replace("    return", "\n\n\n    return"),
        ENGINE.replace("def run", '"""A free-standing text."""\ndef run'),
    ],
    ids=["docstring", "no docstring", "comments", "line breaks", "blank lines", "free text"],
)
def test_comments_docstrings_and_layout_do_not_change_the_digest(tree, same):
    before = tree(engine=ENGINE, parts__helper=HELPER)
    assert same != ENGINE
    assert tree(engine=same) == before


@pytest.mark.parametrize(
    "other",
    [
        ENGINE.replace("+ 1", "+ 2"),
        ENGINE.replace("x", "y"),
        ENGINE + 'NAME = "text that is used"\n',
        ENGINE.replace("return helper", "assert x\n    return helper"),
    ],
    ids=["number", "name", "text", "statement"],
)
def test_code_changes_the_digest(tree, other):
    before = tree(engine=ENGINE, parts__helper=HELPER)
    assert tree(engine=other) != before


@pytest.mark.parametrize(
    "statement",
    [
        "from methods.parts import helper",
        "from methods.parts.helper import double",
        "import methods.parts.helper",
        "import methods.parts.helper as helper",
        "def late():\n    from methods.parts.helper import double",
        "from methods import parts\nfrom methods.parts import between",
    ],
)
def test_the_digest_follows_every_form_of_import(tree, statement):
    before = tree(engine=statement, parts__helper=HELPER, parts__between="import methods.parts.helper")
    assert tree(parts__helper=HELPER.replace("2", "3")) != before


def test_the_digest_follows_imports_of_imports_and_circles(tree):
    before = tree(engine="import methods.a", a="import methods.b", b="import methods.a, methods.c", c="x = 1")
    assert tree(c="x = 2") != before


def test_modules_that_nothing_imports_do_not_count(tree):
    before = tree(engine=ENGINE, parts__helper=HELPER, parts__other="x = 1")
    assert tree(parts__other="x = 2") == before
    assert tree("methods.engine", "methods.parts.other") != before


def test_the_digest_does_not_depend_on_the_order_of_its_modules(tree):
    first = tree("methods.a", "methods.b", "methods.a", a="x = 1", b="x = 2")
    assert tree("methods.b", "methods.a") == first


def test_two_modules_that_swap_their_code_have_another_digest(tree):
    first = tree("methods.a", "methods.b", a="x = 1", b="x = 2")
    assert tree("methods.a", "methods.b", a="x = 2", b="x = 1") != first


@pytest.mark.parametrize("name", sorted(source_digest.OUTSIDE))
def test_recording_and_logging_do_not_count(tree, name):
    module = name.removeprefix("methods.")
    before = tree(engine=f"import {name}", **{module: "x = 1"})
    assert tree(**{module: "import methods.more\nx = 2"}, more="y = 1") == before


def test_every_module_outside_the_digest_exists():
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in source_digest.OUTSIDE)


@pytest.fixture(scope="module")
def parsed():
    """The package's modules, each parsed once a text."""
    known, parse = {}, source_digest._parse.__wrapped__

    def remembered(name):
        key = name, source_digest._path(name).read_text()
        if key not in known:
            known[key] = parse(name)
        return known[key]

    remembered.cache_clear = lambda: None
    return remembered


@pytest.fixture
def copied(tmp_path, tree, parsed, monkeypatch):
    """A copy of the project's own package under the digest."""
    monkeypatch.setattr(source_digest, "_parse", parsed)
    shutil.copytree(ROOT / "methods", tmp_path / "methods", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "methods"


def changes(copied, tree, path, *modules):
    """Whether a new statement in ``path`` changes the digest of ``modules``."""
    before = tree(*modules)
    file = copied / path
    file.write_text(file.read_text() + "\nNEW = 1\n")
    return tree(*modules) != before


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("objectives/adapt.py", True),
        ("objectives/prototypes.py", True),
        ("objectives/base.py", True),
        ("training/fit.py", True),
        ("training/schedules.py", True),
        ("training/augmentation.py", True),
        ("objectives/edge.py", False),
        ("objectives/bce.py", False),
        ("scores/knn.py", False),
        ("networks/cifar_resnet.py", False),
        ("features/extract.py", False),
        ("reporting/tables/main.py", False),
        ("settings/load.py", False),
        ("progress.py", False),
    ],
)
def test_a_training_with_adapt_is_tied_to_its_own_code_only(copied, tree, path, counts):
    assert changes(copied, tree, path, "methods.training.fit", "methods.objectives.adapt") is counts


@pytest.mark.parametrize(
    ("path", "counts"),
    [("scores/knn.py", True), ("scores/base.py", True), ("scores/msp.py", False), ("training/fit.py", False)],
)
def test_a_score_is_tied_to_its_own_code_only(copied, tree, path, counts):
    assert changes(copied, tree, path, "methods.scores.base", "methods.scores.knn") is counts


@pytest.mark.parametrize(
    ("package", "parts", "helpers"),
    [
        ("objectives", {"adapt", "edge", "bce", "cross_entropy"}, {"base", "prototypes"}),
        ("scores", {"msp", "knn", "energy"}, {"base"}),
        ("networks", {"cifar_resnet", "resnet", "densenet121"}, {"model", "weights", "foreign", "pretrained"}),
        ("data.readers", {"digits", "photographs"}, {"cells"}),
        ("reporting.figures", {"roc_curves"}, {"sources"}),
        ("reporting.tables", {"main", "tail"}, {"parts", "words", "detection"}),
    ],
)
def test_the_registry_knows_modules_with_a_record_by_file_name(package, parts, helpers):
    known = set(registry.records(package))
    assert parts <= known
    assert not helpers & known


@pytest.mark.parametrize("package", ["objectives", "networks", "scores", "data.readers"])
def test_the_record_read_from_the_text_is_the_one_of_the_module(package):
    for name, record_ in registry.records(package).items():
        assert record_ == registry.load(package, name).RECORD


def test_a_new_part_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    (tmp_path / "new_parts").mkdir()
    (tmp_path / "new_parts" / "one.py").write_text("import no_such_module\nRECORD = {'title': 'One'}\n")
    (tmp_path / "new_parts" / "helper.py").write_text("X = 1\n")
    assert registry.records("new_parts") == {"one": {"title": "One"}}
    assert registry.module_name("new_parts", "one") == "methods.new_parts.one"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "RECORD = {'title': 'One', 'paper': '', 'needs': [], 'parameters': {}}\n",
            r"one.py lacks tasks; it needs title",
        ),
        ("RECORD = dict(title='One')\n", "one.py is no literal"),
        ("def broken(:\n", "one.py is no valid Python: line 1"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(text, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "one.py").write_text(text)
    with pytest.raises(ReproError, match=sentence):
        registry.records.__wrapped__("scores")


def test_records_are_read_without_importing_torch():
    code = (
        "import sys; from methods.registry import records\n"
        "[records(name) for name in ('objectives', 'networks', 'scores', 'reporting.figures')]\n"
        "print({'torch', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
