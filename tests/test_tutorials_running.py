"""The tutorials about running papers, carried out block by block."""

import pytest

from tests import tutorials

pytestmark = pytest.mark.workflow


def test_the_first_tutorial_reproduces_a_paper(tmp_path_factory):
    root = tutorials.finished_project(tmp_path_factory)
    assert (root / "results/papers/first/report.html").exists()
