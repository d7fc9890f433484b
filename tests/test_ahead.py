"""Sets of one run made by one process, each once, and put in their places by their own jobs."""

import json
import multiprocessing
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow_scripts.jobs.ahead import FOLDER, announce, make_in_turn


class Names(SimpleNamespace):
    """Named inputs or outputs, as Snakemake hands them to a script."""

    def items(self):
        return vars(self).items()

    def __getitem__(self, number):
        return list(vars(self).values())[number]


def job(name, settings=None, model="model"):
    """A Snakemake job that extracts the set ``name``."""
    told = json.dumps({"dataset": name, **(settings or {"network": "a"})}, sort_keys=True)
    return SimpleNamespace(
        rule=SimpleNamespace(name="extract_features"),
        input=Names(model=model, images=f"{name}.images"),
        output=Names(features=f"out/{name}.h5"),
        params=SimpleNamespace(settings=told, digest="code"),
        wildcards=SimpleNamespace(dataset=name, split="test"),
    )


def script(name, **more):
    """What that job's script is given."""
    return SimpleNamespace(**{**vars(job(name, **more)), "rule": "extract_features"})


def write(part, path):
    """Stands for the network: every call leaves a file of its own, so that a set made twice is seen."""
    Path(f"made-{part.split[0]}-{os.getpid()}-{time.monotonic_ns()}").touch()
    path.write_text(Path(part.inputs["model"]).read_text() + Path(part.inputs["images"]).read_text())


def never():
    raise AssertionError("the network was loaded although the file lay there")


def slow(part, path):
    time.sleep(0.05)
    write(part, path)


def run(name):
    make_in_turn(script(name), lambda: slow)


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Names of six sets that wait for one network."""
    monkeypatch.chdir(tmp_path)
    names = list("abcdef")
    Path("out").mkdir()
    Path("model").write_text("weights of ")
    for name in names:
        Path(f"{name}.images").write_text(name)
    announce([job(name) for name in names])
    return names


def made():
    return sorted(path.name.split("-")[1] for path in Path().glob("made-*"))


def test_one_process_makes_every_set_and_their_jobs_load_nothing(sets):
    make_in_turn(script("c"), lambda: write)
    assert made() == sets
    assert [path.name for path in Path("out").glob("*.h5")] == ["c.h5"]  # the others wait for their jobs
    for name in "abdef":
        make_in_turn(script(name), never)
    assert {name: Path(f"out/{name}.h5").read_text() for name in sets} == {n: f"weights of {n}" for n in sets}
    assert sorted(os.listdir("out")) == [f"{name}.h5" for name in sets]


def test_two_processes_share_the_sets_and_make_none_twice(sets):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(run, sets, chunksize=1)
    assert made() == sets
    assert len({path.name.split("-")[2] for path in Path().glob("made-*")}) == 2
    assert sorted(os.listdir("out")) == [f"{name}.h5" for name in sets]


def test_a_set_whose_job_has_begun_is_left_alone(sets):
    images = [Path(f"{name}.images") for name in "acdef"]
    for path in images:
        path.unlink()  # so that the first job makes none of these ahead
    make_in_turn(script("b"), lambda: write)
    for path in images:
        path.write_text(path.stem)
    make_in_turn(script("a"), lambda: write)
    assert made() == ["a", "b", "c", "d", "e", "f"]
    assert not list(Path("out").glob(".b.*"))


def test_a_job_whose_set_is_being_made_helps_with_the_others(sets, monkeypatch):
    monkeypatch.setattr("workflow_scripts.jobs.ahead.PATIENCE_SECONDS", 0.1)

    def long(part, path):
        time.sleep(0.6 if part.split[0] == "b" else 0.1)
        write(part, path)

    def first():
        make_in_turn(script("a"), lambda: long)

    process = multiprocessing.get_context("fork").Process(target=first)
    process.start()
    while not list(Path().glob("made-a-*")):  # the other process now makes b
        time.sleep(0.01)
    time.sleep(0.05)
    make_in_turn(script("b"), lambda: long)
    process.join()
    assert made() == sets
    makers = {path.name.split("-")[1]: int(path.name.split("-")[2]) for path in Path().glob("made-*")}
    assert makers["b"] == process.pid
    assert os.getpid() in makers.values()


def test_a_set_that_waits_alone_needs_no_list(sets):
    announce([])
    assert not FOLDER.exists()
    make_in_turn(script("a"), lambda: write)
    assert made() == ["a"]


def test_an_old_file_in_its_place_does_not_keep_a_set_from_being_made_ahead(sets):
    Path("out/b.h5").write_text("of another model")
    make_in_turn(script("a"), lambda: write)
    make_in_turn(script("b"), never)
    assert Path("out/b.h5").read_text() == "weights of b"


@pytest.mark.parametrize("changed", ["model", "b.images"])
def test_what_waits_is_not_used_after_an_input_changed(sets, changed):
    make_in_turn(script("a"), lambda: write)
    Path(changed).write_text("other ")
    make_in_turn(script("b"), lambda: write)
    assert "other" in Path("out/b.h5").read_text()
    assert not list(Path("out").glob(".b.*"))


def test_sets_taken_up_in_another_way_are_left_to_their_own_jobs(sets):
    announce([job("a"), job("b", settings={"network": "b"}), job("c")])
    make_in_turn(script("a"), lambda: write)
    assert made() == ["a", "c"]


def test_what_is_wrong_with_another_set_does_not_fail_this_job(sets):
    def broken(part, path):
        if part.split[0] != "a":
            raise ValueError("damaged images")
        write(part, path)

    make_in_turn(script("a"), lambda: broken)
    assert Path("out/a.h5").is_file()
    with pytest.raises(ValueError, match="damaged images"):
        make_in_turn(script("b"), lambda: broken)


def test_a_job_that_is_killed_while_it_goes_on_for_others_has_lost_nothing(sets):
    def killed(part, path):
        if part.split[0] == "d":
            raise KeyboardInterrupt
        write(part, path)

    with pytest.raises(KeyboardInterrupt):
        make_in_turn(script("a"), lambda: killed)
    assert not Path("out/a.h5").exists()  # nothing is in its place before the job ends
    announce([job(name) for name in sets])
    for name in "abc":
        make_in_turn(script(name), never)
    assert made() == list("abc")


def test_after_twenty_minutes_a_job_makes_nothing_more_for_others(sets, monkeypatch):
    monkeypatch.setattr("workflow_scripts.jobs.ahead.LONGEST_SECONDS", 0.0)
    make_in_turn(script("a"), lambda: write)
    assert made() == ["a"]
