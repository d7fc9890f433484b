"""The tutorials about what one does with results, carried out block by block."""

import json
import shutil
import subprocess

import pytest

from tests import tutorials

pytestmark = pytest.mark.workflow


def times(root, pattern):
    """File -> when it was last written, of all files below ``root`` that the pattern fits."""
    found = {path.relative_to(root): path.stat().st_mtime_ns for path in root.glob(pattern)}
    assert found, f"no {pattern} in {root}"
    return found


def require_same_runs(root, factory):
    """Refuse a run of which a file was written again, made or lost since the first tutorial."""
    everything = "results/runs/**/*.*"
    assert times(root, everything) == times(tutorials.finished_project(factory), everything)


def test_figures_of_a_paper_of_ones_own_are_drawn_without_a_training(tmp_path_factory, tmp_path):
    root = tutorials.go_on("figures", tmp_path_factory, tmp_path)
    require_same_runs(root, tmp_path_factory)
    mine = root / "results/papers/mine"
    assert {path.name for path in mine.glob("figures/*.pdf")} == {"near_roc.pdf", "histograms.pdf"}
    svg = (mine / "figures/near_roc.svg").read_text()
    assert "SupCon (ours)" in json.dumps(json.loads((mine / "figures/near_roc.svg.provenance.json").read_text()))
    assert 'width="237.6pt"' in svg, "3.3 inches"
    compile_paper(root)


def compile_paper(root):
    """Carry out the one block that needs LaTeX, where there is LaTeX."""
    (block,) = [block for block in tutorials.blocks("figures") if block.text.startswith("pdflatex")]
    if shutil.which("pdflatex"):
        options = "-interaction=nonstopmode -halt-on-error"
        line = block.text.replace("pdflatex", f"pdflatex {options}")
        done = subprocess.run(["bash", "-c", line], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert (root / "paper.pdf").exists()


def test_a_damaged_file_is_mended_and_results_are_compared_with_those_of_others(tmp_path_factory, tmp_path):
    root = tutorials.go_on("verify-and-compare", tmp_path_factory, tmp_path)
    before, after = (times(of, "results/runs/**/*.*") for of in (tutorials.finished_project(tmp_path_factory), root))
    assert [path.parts[-3:] for path in before if after[path] != before[path]] == [("features", "digits", "test.h5")]
    assert json.loads((root / "results/verify.json").read_text())["state"] == "ok"
    verdicts = [line.rsplit(" | ", 1)[1] for line in table(root, "against")]
    assert verdicts == ["reproduced |", "not reproduced |", "not comparable (a) |"]


def table(root, name, paper="first"):
    """Lines of a Markdown table of a paper, without its head."""
    text = (root / f"results/papers/{paper}/tables/{name}.md").read_text()
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


def test_a_set_in_a_folder_of_ones_own_is_read_in_place_and_a_missing_one_is_marked(tmp_path_factory, tmp_path):
    before = tutorials.finished_project(tmp_path_factory)
    root = tutorials.go_on("data-folders", tmp_path_factory, tmp_path)
    kept = "results/runs/**/model.safetensors"
    assert times(root, kept) == times(before, kept)
    assert {path.name for path in (root / "data/archives").iterdir()} == {"digits"}
    assert not list((root / "data").rglob("*.png"))
    assert len(list((tmp_path / "datasets").rglob("*.png"))) == 200
    assert all(row.count("n/a") == 2 for row in table(root, "main"))


def test_an_imported_checkpoint_stands_in_the_table_beside_the_training_it_was_saved_from(tmp_path_factory, tmp_path):
    before = tutorials.finished_project(tmp_path_factory)
    root = tutorials.go_on("checkpoint", tmp_path_factory, tmp_path)
    trained = "results/runs/digits8/contrastive/**/model.safetensors"
    assert times(root, trained) == times(before, trained)
    ours, theirs = table(root, "main", "released")
    assert ours.removeprefix("| SupCon |") == theirs.removeprefix("| SupCon (released) |")
