"""The page of error messages: what it quotes is in the code, and a run says it."""

import ast
import errno
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import snakemake as snakemake_package

from methods.data.fetch import fetch
from methods.data.subsets import read_list
from methods.disk import disk_trouble
from methods.errors import ReproError
from methods.hdf5 import open_hdf5
from methods.provenance import require_parent
from methods.settings.load import load_config, load_study
from methods.settings.schema import load_yaml
from methods.training.device import choose_device
from tests.workflow import PAPER, ROOT, snakemake, write_inputs

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
_ENTRY = re.compile(r"^\*\*(?:`([^`\n]+)`|``(.+?)``)\*\*(?: \((?:from )?([^)]+)\))?$", re.M)
_ALSO = re.compile(r"`([^`\n]*\.\.\.[^`\n]*)`")
_FIELD = "\0"
NOT_IN_CONFIG = "papers/....yaml is there, but config.yaml does not name it. Add ..."


def entries(said_by: str | None) -> list[str]:
    """Messages that the page quotes in bold: of this project, or of the program named in brackets."""
    return [one or two for one, two, who in _ENTRY.findall(PAGE) if (who or None) == said_by]


def templates(path: Path) -> Iterator[str]:
    """Texts of a Python file but its docstrings, or of a file of rules; fields are one character."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".smk":
        yield from (re.sub(r"\{[^}]*\}", _FIELD, text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', source))
        return
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else _FIELD for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield re.sub(r"%[sd]|%\.\d[fg]|\{[a-z_]*\}", _FIELD, node.value)


@cache
def said_here() -> list[str]:
    files = [*(ROOT / "methods").rglob("*.py"), *(ROOT / "workflow_scripts").rglob("*.py"), *ROOT.glob("rules/*.smk")]
    make = re.findall(r'"([^"]+)"', (ROOT / "Makefile").read_text(encoding="utf-8"))
    return [*make, *(text for file in files for text in templates(file))]


@cache
def said_by_snakemake() -> list[str]:
    folder = Path(snakemake_package.__file__).parent
    files = [folder / name for name in ("exceptions.py", "common/__init__.py", "dag.py", "jobs.py", "io/__init__.py")]
    return [text for file in files for text in templates(file)]


def holds(template: str, message: str) -> bool:
    """Whether the fixed parts of ``message`` stand in ``template`` in their order."""
    at = 0
    for part in filter(None, message.split("...")):
        found = template.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


@pytest.mark.parametrize("message", entries(None))
def test_a_message_that_the_page_quotes_is_in_the_code(message):
    assert len(message.replace("...", "").strip()) >= 10, "too little of it is fixed"
    assert any(holds(template, message) for template in said_here())


@pytest.mark.parametrize("message", entries("Snakemake"))
def test_a_message_quoted_as_snakemakes_is_in_the_installed_snakemake(message):
    assert any(holds(template, message) for template in said_by_snakemake())


def test_messages_named_within_an_answer_are_in_the_code_as_well():
    answers = _ENTRY.sub("", PAGE)
    named = [text for text in _ALSO.findall(answers) if text.count(" ") > 3 and not re.search("make |--", text)]
    assert len(named) > 10
    assert [text for text in named if not any(holds(template, text) for template in said_here())] == []


def test_the_page_has_its_messages_by_stage_and_none_twice():
    stages = re.findall(r"^## (.+)$", PAGE, re.M)
    assert (stages[0], stages[-1]) == ("Installation", "Cluster")
    bold = [line for line in PAGE.splitlines() if line.startswith("**`")]
    assert len(bold) == len(set(bold)) == len(_ENTRY.findall(PAGE)) > 70


def pattern(message: str) -> str:
    return ".*".join(re.escape(part) for part in message.split("..."))


def said(message: str, text: str) -> None:
    """``message`` is an entry of the page, and ``text`` says it."""
    assert message in [*entries(None), *entries("Snakemake")]
    assert re.search(pattern(message), text, re.S), text


def unknown_key():
    load_config({"papers": ["demo"], "sedes": [0]})


def wrong_kind():
    load_config({"papers": ["demo"], "seeds": ["a"]})


def unknown_paper():
    load_study({"papers": ["adpat"]})


def no_folder():
    load_config({"papers": ["demo"], "data": {"sources": ["/nowhere/at/all"]}})


def key_twice(folder):
    (folder / "paper.yaml").write_text("name: a\nname: b\n")
    load_yaml(folder / "paper.yaml")


def no_file(folder):
    load_yaml(folder / "paper.yaml")


def offline(folder):
    file = {"name": "a.zip", "urls": ["http://127.0.0.1/a.zip"], "md5": "0" * 32}
    fetch("toy", file, folder / "a.zip", offline=True)


def no_list(folder):
    read_list(folder / "list.txt", "0" * 64)


def damaged(folder):
    (folder / "a.h5").write_bytes(b"no HDF5")
    with open_hdf5(folder / "a.h5"):
        pass


def other_parent(folder):
    (folder / "parent").write_bytes(b"now")
    require_parent("child.h5", {"parents": {"model": "0" * 64}}, "model", folder / "parent")


CASES = {
    "... has the unknown key ...: ...": unknown_key,
    "... is ..., expected ...": wrong_kind,
    "There is no paper ... in papers/: ...": unknown_paper,
    "config.data.sources names ..., where there is no folder": no_folder,
    "... is no valid YAML: ...": key_twice,
    "... does not exist: correct its path, which counts from where you are.": no_file,
    "... of ... (...) is not here, and `offline` forbids to download it from ...": offline,
    "The split list ... is missing": no_list,
    "... cannot be read as HDF5 (...): it is truncated, damaged or no HDF5 file.": damaged,
    "... was made from another ... than ...: it records sha256 ..., the file has ...": other_parent,
}


@pytest.mark.parametrize("message", CASES)
def test_the_code_says_it(message, tmp_path):
    case = CASES[message]
    with pytest.raises(ReproError) as caught:
        case(tmp_path) if case.__code__.co_argcount else case()
    said(message, str(caught.value))


def test_a_full_disk_says_it(tmp_path):
    said("The disk of ... has no room left (... free)", disk_trouble(OSError(errno.ENOSPC, "full"), [tmp_path]) or "")


def test_a_machine_without_a_gpu_says_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ReproError) as caught:
        choose_device("cuda")
    said("config.hardware.device is cuda, but torch sees no GPU", str(caught.value))


def test_a_set_that_cannot_be_had_says_it():
    study = load_study({"papers": ["first"], "datasets": {"unavailable": ["digits"]}})
    said("its ID set ... is not available here", "\n".join(study.notices))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small workflow that has not run."""
    folder = tmp_path_factory.mktemp("workflow")
    write_inputs(folder, PAPER)
    return folder


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("target", "message", "more"),
    [
        ("adapt", NOT_IN_CONFIG, "snakemake adapt --config 'papers=[adapt]'"),
        ("results/papers/micro/tables/mian.md", "there is no ... ...: ...", "did you mean 'main'"),
        ("results/runs/digits/plian/corrected/seed0/history.csv", "there is no ... ...: ...", "did you mean 'plain'"),
    ],
)
def test_a_target_that_nothing_makes_says_it(folder, target, message, more):
    done = snakemake(folder, target, "--dry-run")
    assert done.returncode != 0
    assert "KeyError" not in done.stdout
    said(message, done.stdout)
    assert more in done.stdout


@pytest.mark.workflow
def test_a_lock_that_was_left_says_it(folder):
    locks = folder / ".snakemake/locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "0.output.lock").write_text("results/environment.csv\n")
    done = snakemake(folder, "results/environment.csv")
    said("Directory cannot be locked.", done.stdout)
