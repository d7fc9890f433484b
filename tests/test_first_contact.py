"""What somebody sees who meets the project: lists, last words of runs, colours, odd places, first mistakes."""

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from benchmarks import __main__ as benchmarks
from tests import tutorials
from tests.workflow import EVALUATION, ROOT, TABLE, arguments, environment, launch, snakemake, write_inputs
from workflow_scripts.lines.ending import Failure, failed_lines
from workflow_scripts.lines.hints import job_hint, last_error
from workflow_scripts.lines.terminal import coloured

SETS = [f"{EVALUATION}/scores/{name}/test.h5" for name in ("digits_held_out", "uniform_noise")]


def run(*command, cwd, **variables):
    """A command outside any environment; standard error is joined to standard output."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    known = {**tutorials.clean_environment(), "CORES": "2", **variables}
    return subprocess.run(command, cwd=cwd, env=known, text=True, check=False, timeout=300, **streams)


def on_terminal(*command, cwd, **variables):
    """What a command prints on a terminal."""
    master, slave = pty.openpty()
    known = {**os.environ, "TERM": "xterm", "CORES": "2", **variables}
    with subprocess.Popen(command, cwd=cwd, env=known, stdin=slave, stdout=slave, stderr=slave):
        os.close(slave)
        told = b""
        while part := _read(master):
            told += part
    os.close(master)
    return told.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # its last writer is gone
        return b""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in a folder with spaces and an ampersand, its data elsewhere, after `make run` from another folder."""
    root = tutorials.new_project(tmp_path_factory.mktemp("first") / "my papers & data/ood repro")
    folders = {name: {"folder": str(root.parent / f"my {name}")} for name in ("data", "results")}
    (root / "config.yaml").unlink()
    write_inputs(root, **folders)
    done = run("make", "-C", str(root), "run", "TARGET=micro", cwd="/")
    assert done.returncode == 0, done.stdout
    return root, done.stdout


@pytest.fixture
def folder(tmp_path):
    """A small paper that nothing was made of."""
    write_inputs(tmp_path)
    return tmp_path


@pytest.mark.workflow
def test_a_run_ends_with_where_things_are_and_what_comes_next(made):
    root, printed = made
    results = f"{root.parent}/my results"
    end = printed.partition("jobs done in")[2].splitlines()
    assert f"  {results}/papers/micro/report.html" in end
    assert f"  {results}/papers/micro/tables (csv, md, tex, html)" in end
    assert "  make run TARGET=verify  every number checked, back to the archives" in end
    assert Path(f"{results}/papers/micro/figures/curves.pdf").exists()
    assert "\x1b" not in printed


@pytest.mark.workflow
def test_plain_snakemake_ends_so_too_when_there_is_nothing_to_do_or_it_is_called_from_elsewhere(made, tmp_path):
    root, _ = made
    done = run(str(root / ".venv/bin/snakemake"), "verify", "--cores", "2", cwd=root)
    assert done.returncode == 0, done.stdout
    elsewhere = (str(root / ".venv/bin/snakemake"), "--snakefile", str(root / "Snakefile"), "--directory", str(root))
    done = run(*elsewhere, "micro", "--cores", "2", cwd=tmp_path)
    assert f"  {root.parent}/my results/papers/micro/report.html\n" in done.stdout, done.stdout
    assert "  snakemake site " in done.stdout
    assert "\x1b" not in done.stdout
    other = tmp_path / "another folder"
    config = ("papers=[first]", f"results={{folder: {other}/r}}")
    done = run(*elsewhere[:-1], str(other), "environment", "--cores", "2", "--config", *config, cwd=tmp_path)
    assert f"  {other}/r/environment.csv\nNext with the same options:\n" in done.stdout, done.stdout


@pytest.mark.workflow
def test_a_dry_run_says_that_nothing_was_started(folder):
    assert "Nothing was started: the same command without -n runs" in snakemake(folder, TABLE, "-n").stdout


@pytest.fixture(scope="module")
def broken(made, tmp_path_factory):
    """The project, with features of two sets cut off, of which scores are to be made anew."""
    root, _ = made
    results = root.parent / "my results"
    for name in SETS:
        features = results / name.removeprefix("results/").replace("/scores/", "/features/")
        features.write_bytes(features.read_bytes()[:2000])
    return root, [f"{results}/{name.removeprefix('results/')}" for name in SETS]


@pytest.mark.workflow
def test_several_failed_jobs_are_told_at_the_end_each_with_the_end_of_its_log(broken):
    root, targets = broken
    done = run(str(root / ".venv/bin/snakemake"), *targets, "--cores", "2", cwd=root)
    assert done.returncode == 1
    end = done.stdout.partition("0 of 2 jobs done, 2 failed, 0 not run:\n")[2]
    for name in ("digits_held_out", "uniform_noise"):
        assert f"  failed: score {name}/test by plain on digits, seed 0\n    rule score, log logs/score/" in end
    assert end.count("is truncated, damaged or no HDF5 file. Delete it") == 2
    assert end.endswith("run the same command again: what is done stays as it is.\n")
    assert "\x1b" not in done.stdout


@pytest.mark.workflow
def test_what_failed_runs_again_though_files_made_from_it_are_there(broken):
    root, targets = broken
    run(str(root / ".venv/bin/snakemake"), *targets, "--cores", "2", cwd=root)
    assert not Path(targets[0]).exists()
    done = run("make", "why", "TARGET=micro", cwd=root)
    assert "score uniform_noise/test by plain on digits, seed 0: not made yet" in done.stdout, done.stdout
    assert "table main of micro: made anew before it" in done.stdout


@pytest.mark.workflow
@pytest.mark.parametrize("colours", [True, False])
def test_failures_are_red_on_a_terminal_unless_colours_are_unwanted(broken, colours):
    root, targets = broken
    command = ("make", "run", f"TARGET='{targets[0]}'")
    printed = on_terminal(*command, cwd=root, **({} if colours else {"NO_COLOR": "1"}))
    assert ("\x1b[31m0 of 1 jobs done" in printed) == colours, printed
    assert ("\x1b[3" in printed) == colours


@pytest.mark.workflow
def test_the_list_explains_every_rule_in_a_line_and_nothing_else(folder):
    lines = snakemake(folder, "--list").stdout.splitlines()
    listed = [line for line in lines if not line.startswith(("Using ", "Config file "))]
    assert all(re.fullmatch(r"\w+ \(.+\)", line) for line in listed), listed
    assert "micro (paper: Micro)" in listed


def test_make_without_a_target_explains_every_target_in_a_line():
    named = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)) - {"named"}
    lines = run("make", cwd=ROOT).stdout.splitlines()
    assert {line.split()[0] for line in lines if line.startswith("  ")} == named
    assert "TARGET=" in lines[0]
    assert max(map(len, lines)) <= 125


def test_make_run_wants_a_target():
    done = run("make", "run", cwd=ROOT)
    assert done.returncode != 0
    assert "Say what to make: make run TARGET=demo" in done.stdout


def test_a_python_that_is_too_old_is_refused_before_anything_is_installed(tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run("make", "env", f"PYTHON={old}", cwd=tmp_path)
    assert "Python 3.11 or newer is needed" in done.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("first", "papers/first.yaml is there, but config.yaml does not name it"),
        ("mirco", "There is no target 'mirco': did you mean 'micro'?"),
        (TABLE.replace("main", "mian"), "there is no table of micro 'mian': did you mean 'main'?"),
        ("train", "That rule makes many files: ask for one by its path"),
    ],
)
def test_a_target_that_nothing_makes_is_told_with_what_may_be_meant(folder, target, sentence):
    done = snakemake(folder, target)
    assert done.returncode == 1
    assert sentence in done.stdout, done.stdout


@pytest.mark.workflow
def test_the_paper_that_is_not_in_the_config_is_named_as_make_runs_it(folder):
    assert """make run TARGET=first ARGS="--config 'papers=[first]'\"""" in launch(folder, "first", "-n").stdout


@pytest.mark.workflow
def test_a_snakemake_of_another_installation_is_refused_by_its_name(folder, tmp_path):
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    packages = next((other / "lib").glob("python*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("torch", "h5py")):
            (packages / path.name).symlink_to(path)
    known = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    command = [other / "bin/python", "-m", "snakemake", *arguments(TABLE)]
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"this Snakemake is that of {other}, where h5py, torch cannot be imported" in done.stderr, done.stderr
    assert not (folder / "results").exists()


def test_every_benchmark_can_be_run_by_its_name_and_says_what_it_is(capsys):
    assert benchmarks.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == benchmarks.names()
    assert all(re.match(r"\w+  +\w.*[.,)]", line) for line in lines), lines
    assert set(benchmarks.QUICK) <= set(benchmarks.names())
    assert benchmarks.main(["score"]) == 2
    assert "did you mean 'scores'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", benchmarks.names())
def test_a_benchmark_explains_its_options_before_it_works(name):
    text = (ROOT / f"benchmarks/{name}.py").read_text()
    assert "ArgumentParser" in text
    assert re.search(r'^if __name__ == "__main__":\n', text, re.M)
    if not re.search(r"^(import|from) torch|^from methods|^from benchmarks|^import (matplotlib|numpy)", text, re.M):
        done = run(sys.executable, "-m", f"benchmarks.{name}", "--help", cwd=ROOT)
        assert done.stdout.startswith("usage:"), done.stdout


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colours_are_for_terminals_that_show_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("bad", "red", Terminal()) == "\x1b[31mbad\x1b[0m"
    assert coloured("bad", "red", io.StringIO()) == "bad"
    monkeypatch.setenv("TERM", "dumb")
    assert coloured("bad", "red", Terminal()) == "bad"


TIME = "2026-01-01 00:00:00"


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ([f"{TIME} ERROR the file is damaged: delete it"], ""),
        ([f"{TIME} ERROR unexpected MemoryError: (traceback in x)"], "the memory ran out"),
        ([f"{TIME} ERROR unexpected OSError: No space left on device (traceback in x)"], "the disk is full"),
        (
            [f"{TIME} ERROR unexpected ModuleNotFoundError: No module named 'h5py' (traceback in x)"],
            "a package is missing",
        ),
        ([f"{TIME} ERROR unexpected KeyError: 'a' (traceback in x)"], "read the traceback"),
        ([f"{TIME} INFO epoch 3/9"], "it ended without a word: killed"),
        ([], "it wrote no log"),
    ],
)
def test_the_end_of_a_log_gives_the_hint(log, hint):
    assert job_hint(log).startswith(hint)
    assert bool(job_hint(log)) == bool(hint)


def test_an_error_of_several_lines_is_told_whole():
    error = [f"{TIME} ERROR no address answered. To go on without it:", "  datasets: {unavailable: [a]}"]
    assert last_error([f"{TIME} INFO trying", *error]) == ["no address answered. To go on without it:", error[1]]
    assert last_error([*error, f"{TIME} INFO again"]) == []


def test_of_many_failures_the_first_are_told_and_the_rest_counted():
    lines = failed_lines([Failure("score", f"score {i}", None) for i in range(9)], 1, 12)
    assert lines[0] == "1 of 12 jobs done, 9 failed, 2 not run:"
    assert "  and 4 more, the first is: score 5 (logs are in logs/)" in lines
    assert sum(line.startswith("  failed: ") for line in lines) == 5
