"""The guide's examples, followed to the letter: one file and one entry each."""

import copy
import re

import pytest

from methods.csv_file import read_csv
from tests.workflow import PAPER, ROOT, TABLE, copy_project, snakemake, write_inputs

pytestmark = pytest.mark.workflow


@pytest.fixture
def project(tmp_path):
    """A copy of the project's code with the examples of the guide in place."""
    root = copy_project(tmp_path / "project")
    score, method = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guide.md").read_text(), re.DOTALL)
    (root / "methods/scores/margin.py").write_text(score)
    (root / "methods/objectives/smoothed.py").write_text(method)
    return root


def test_a_score_and_a_method_are_one_file_and_one_entry_each(project, tmp_path):
    paper = copy.deepcopy(PAPER)
    paper["recipes"]["plain"]["objective"] = {"name": "smoothed", "smoothing": 0.2}
    paper["scores"] = {"spread": {"score": "margin", "power": 2.0}}
    paper["evaluate"] = {"digits": {"plain": ["spread"]}}
    write_inputs(tmp_path, paper)
    done = snakemake(tmp_path, TABLE, root=project)
    assert done.returncode == 0, done.stdout
    (row,) = read_csv(tmp_path / TABLE)
    assert row["score"] == "spread"
    assert float(row["set:digits_held_out:auroc:mean"]) > 0.4
