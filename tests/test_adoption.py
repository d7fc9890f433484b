"""Claims about which jobs need not run, and about digests that stand for older ones."""

import pytest

from methods import source_digest
from methods.equivalent_code import FILE, Entry, entries, standing_for, write_entries
from methods.errors import ReproError
from workflow_scripts.adoption.dag import Job
from workflow_scripts.adoption.plan import plan

ARCHIVE = Job("fetch", (), ("a",))
IMAGES = Job("prepare", ("a",), ("i",))
MODEL = Job("train", ("i",), ("m", "cost"))
FEATURES = Job("extract", ("m", "i"), ("f",))
SCORES = Job("score", ("f",), ("s",))
COSTS = Job("costs", ("cost",), ("t",))
PAPER = Job("paper", ("s", "t"), ())
REST = "concerns: x, reason: y"  # of an entry
CHAIN = [ARCHIVE, IMAGES, MODEL, FEATURES, SCORES, COSTS, PAPER]


def planned(missing="", flaws=None, wanted=()):
    """Letters of the jobs adopted, of those that must run again, and of those missing."""
    made = plan(CHAIN, wanted, flaws or {}, lambda path: path not in missing.split())
    return ["".join(job.rule[0] for job in part) for part in (made.adopted, made.rerun, made.missing)], made


def test_a_whole_folder_is_adopted():
    assert planned()[0] == ["fptesc", "", ""]


def test_what_follows_from_a_flaw_runs_again_and_says_from_what():
    parts, made = planned(flaws={MODEL: "code differs"})
    assert parts == ["fp", "tesc", ""]
    assert list(made.rerun.values()) == ["code differs", "follows from m", "follows from f", "follows from cost"]
    assert made.at_fault() == {MODEL: "code differs"}


def test_an_empty_folder_is_missing_and_not_flawed():
    assert planned(missing="a i m cost f s t", flaws={MODEL: "x"})[0] == ["", "", "fptesc"]


def test_a_missing_file_that_nobody_needs_is_not_made():
    assert planned(missing="a")[0] == ["ptesc", "", ""]


def test_a_missing_file_that_a_running_job_reads_is_made_and_all_that_reads_it_runs():
    assert planned(missing="f", flaws={SCORES: "x"})[0] == ["fptc", "s", "e"]
    assert planned(missing="a", flaws={IMAGES: "x"})[0] == ["", "ptesc", "f"]


def test_a_file_missing_beside_others_of_its_job_runs_that_job_where_it_is_needed():
    parts, made = planned(missing="cost t")
    assert parts == ["fp", "tes", "c"]
    assert made.rerun[MODEL] == "cost is missing"
    assert planned(missing="cost")[0] == ["fptesc", "", ""]


def test_a_file_asked_for_by_its_path_is_made():
    assert planned(missing="f", wanted=["f"])[0] == ["fptc", "s", "e"]


def test_counts_are_by_rule():
    assert planned(missing="t", flaws={FEATURES: "x"})[1].counts() == [
        ("costs", 0, 0, 1),
        ("extract", 0, 1, 0),
        ("fetch", 1, 0, 0),
        ("prepare", 1, 0, 0),
        ("score", 0, 1, 0),
        ("train", 1, 0, 0),
    ]


# Digests that stand for older ones


@pytest.fixture
def root(tmp_path):
    (tmp_path / "resources").mkdir()
    return tmp_path


def write(root, *pairs):
    write_entries([Entry(code, older, "model of x", "because") for code, older in pairs], root)


def test_chains_lead_to_the_first_and_deleting_an_entry_cuts_them(root):
    assert standing_for("c", root) == "c"
    write(root, ("b", "a"), ("c", "b"))
    assert [standing_for(digest, root) for digest in "abcd"] == ["a", "a", "a", "d"]
    write(root, ("c", "b"))
    assert standing_for("c", root) == "b"
    write(root)
    assert not (root / FILE).exists()
    assert standing_for("c", root) == "c"


def test_entries_are_read_as_they_were_written(root):
    found = [Entry("b", "a", "model of x", "two: loops, 'one' line # no comment"), Entry("c", "b", "y", "z")]
    write_entries(found, root)
    assert entries(root) == found
    assert (root / FILE).read_text().startswith("# Code that was written anew")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "- {code: a, same_as: b, concerns: x, reason: y}\n- {code: b, same_as: a, concerns: x, reason: y}\n",
            "circle",
        ),
        ("- {code: a, same_as: b, concerns: x, reason: y}\n" * 2, "two entries"),
        ("- {code: a, same_as: b}\n", "cannot be used"),
        ("- {code: a, same_as: b, concerns: x, reason: y, more: z}\n", "cannot be used"),
        ("a: {\n", "cannot be used"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(root, text, sentence):
    (root / FILE).write_text(text)
    with pytest.raises(ReproError, match=sentence):
        standing_for("a", root)


def test_the_digest_of_accepted_code_is_the_older_one_and_a_script_counts_without_its_imports(root, monkeypatch):
    monkeypatch.setattr(source_digest, "ROOT", root)

    def digest(script, engine="X = 1", helper="X = 1"):
        for path, text in (("scripts/job", script), ("methods/engine", engine), ("methods/helper", helper)):
            (root / path).parent.mkdir(exist_ok=True)
            (root / f"{path}.py").write_text(text)
        source_digest._parse.cache_clear()
        return source_digest.source_digest(["methods.engine"], ["scripts.job"])

    first = digest("import methods.helper\n")
    assert digest("import methods.helper  # the same\n", helper="X = 2") == first
    assert digest("import methods.helper\n", engine="X = 2") != first
    second = digest("import methods.helper\nY = 1\n")
    assert second != first
    write(root, (second, first))
    assert digest("import methods.helper\nY = 1\n") == first
    assert digest("import methods.helper\nY = 2\n") not in (first, second)
    source_digest._parse.cache_clear()
