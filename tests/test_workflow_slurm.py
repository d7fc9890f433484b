"""The workflow on a Slurm cluster: what the profile asks for, and a real one where slurmctld is installed."""

import copy
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import pytest
import yaml

from tests.slurm_node import SlurmNode, what_is_missing
from tests.workflow import MODEL, PAPER, ROOT, TABLE, environment, snakemake, write_inputs
from workflow_scripts.cluster.head import HEADS

pytestmark = pytest.mark.workflow
PROFILE = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
needs_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="snakemake-executor-plugin-slurm is not installed: pip install -r requirements-slurm.txt",
)
needs_slurm = pytest.mark.skipif(what_is_missing() is not None, reason=f"no Slurm: {what_is_missing()}")
GROUP, SINGLE = re.compile(r"Group job (\S+) "), re.compile(r"^(?:\[.*\] )?Job \d+: (\S+)", re.MULTILINE)


def rules():
    """Name of every rule with a script -> the text of its definition."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_says_how_much_memory_and_time_it_takes():
    assert len(rules()) > 15
    for name, text in rules().items():
        for resource in ("mem_mb", "runtime"):
            assert re.search(rf"^        {resource}=", text, re.MULTILINE), f"{name} has no {resource}"


def test_what_the_profile_groups_are_rules_and_no_group_holds_two_of_them():
    groups = PROFILE["groups"]
    assert set(groups) <= set(rules())
    assert len(set(groups.values())) == len(groups)  # so that jobs with and without a GPU never meet
    assert set(PROFILE["group-components"]) == set(groups.values())


def test_grouped_jobs_run_one_after_another_so_that_their_times_are_added():
    assert PROFILE["resources"] == {"turn": 1}
    assert PROFILE["set-resource-scopes"] == {"turn": "local"}
    in_turn = {rule for rule, asked in PROFILE["set-resources"].items() if asked.get("turn") == 1}
    assert in_turn == set(PROFILE["groups"])


def submissions(output):
    """Names of the groups and rules that a dry run would submit, one for each submission."""
    return [*GROUP.findall(output), *SINGLE.findall(output)]


@needs_plugin
def test_a_scoring_sweep_is_few_submissions(tmp_path):
    paper = copy.deepcopy(PAPER)
    paper["recipes"]["other"] = {**paper["recipes"]["plain"], "label": "Other"}
    paper["evaluate"]["digits"]["other"] = ["msp", "knn"]
    more = {name: {"groups": ["far"]} for name in ("digits_scrambled", "photo_patches")}
    paper["benchmarks"]["digits"]["ood"] |= more
    write_inputs(tmp_path, paper, seeds=[0, 1, 2])
    done = snakemake(tmp_path, "micro", "-n", "--workflow-profile", "slurm")
    assert done.returncode == 0, done.stdout
    names = submissions(done.stdout)
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)}
    assert [jobs[rule] for rule in ("extract_features", "fit_scores", "score", "evaluate")] == [36, 6, 30, 6]
    wanted = {"extract": 6, "readout": 2, "fit": 2, "score": 6, "evaluate": 2, "tables": 1, "figures": 1}
    for kind, count in wanted.items():
        assert sum(name.startswith(f"{kind}-") for name in names) == count, kind
    assert jobs["train"] == names.count("train") == 6


def test_jobs_run_in_the_container_of_the_config_if_apptainer_is_asked_for(tmp_path, monkeypatch):
    write_inputs(tmp_path)
    (tmp_path / "apptainer").write_text("#!/bin/sh\necho apptainer version 1.3.4\n")
    (tmp_path / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    more = ("-n", "--config", "container=docker://example.org/ood-repro:1", "--software-deployment-method", "apptainer")
    output = snakemake(tmp_path, TABLE, *more).stdout
    assert "docker://example.org/ood-repro:1 will be pulled" in output


def test_the_machines_own_slurm_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.slurm_node.SETTINGS", tmp_path)
    monkeypatch.setattr("tests.slurm_node.os.geteuid", lambda: 0)
    monkeypatch.setattr("tests.slurm_node.shutil.which", lambda name: f"/usr/bin/{name}")
    assert what_is_missing() is None
    (tmp_path / "slurm.conf").write_text("ClusterName=production\n")
    assert "slurm.conf belongs to this machine's own Slurm" in what_is_missing()
    with pytest.raises(RuntimeError, match="left alone"):
        SlurmNode()
    assert (tmp_path / "slurm.conf").read_text() == "ClusterName=production\n"


@pytest.fixture(scope="module")
def slurm():
    with ExitStack() as stack:
        try:
            node = stack.enter_context(SlurmNode())
        except RuntimeError as error:
            pytest.skip(f"this machine's Slurm does not start: {error}")
        yield node


def submit(folder, *more):
    """Start the workflow on the cluster of the test: no accounting, short waits, a GPU that is only counted."""
    profile = {**PROFILE, "slurm-status-command": "squeue", "slurm-no-account": True, "latency-wait": 20}
    profile |= {"slurm-init-seconds-before-status-checks": 1, "seconds-between-status-checks": 1}
    profile["set-resources"] = {**PROFILE["set-resources"], "train": {"gpu": 1}}
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))
    command = [sys.executable, "-m", "workflow_scripts.launch", TABLE, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--workflow-profile", "profile", *more]
    with open(folder / "output.txt", "a") as output:
        streams = {"stdout": output, "stderr": output}
        return subprocess.Popen(command, cwd=folder, env=environment(), start_new_session=True, **streams)


def wait_for(slurm, process, comment, state="RUNNING"):
    """The first job of that comment in that state."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        for job in slurm.jobs():
            if comment in job["Comment"] and job["JobState"] == state:
                return job["JobId"]
        time.sleep(0.3)
    raise AssertionError(f"no job {comment} was {state}; exit code {process.poll()}")


@pytest.fixture(scope="module")
def finished(slurm, tmp_path_factory):
    """Folder of a run whose training was cancelled once and during which the controller was away; its jobs."""
    folder = tmp_path_factory.mktemp("slurm")
    write_inputs(folder)
    process = submit(folder)
    slurm.run("scancel", wait_for(slurm, process, "rule_train"))
    wait_for(slurm, process, "_extract_features")
    slurm.stop_controller()
    time.sleep(3)
    slurm.start_controller()
    assert process.wait(1500) == 0, (folder / "output.txt").read_text()
    return folder, slurm.jobs()


@needs_plugin
@needs_slurm
@pytest.mark.slow
@pytest.mark.timeout(2400)
class TestRealSlurm:
    def test_a_cancelled_training_is_submitted_again_and_the_run_ends_well(self, finished):
        folder, jobs = finished
        assert [job["JobState"] for job in jobs if "rule_train" in job["Comment"]] == ["CANCELLED", "COMPLETED"]
        assert {job["JobState"] for job in jobs if "rule_train" not in job["Comment"]} == {"COMPLETED"}
        assert (folder / TABLE).is_file()

    def test_memory_time_cpus_and_gpus_reach_slurm(self, finished):
        jobs = {job["Comment"]: job for job in finished[1]}
        train = jobs["rule_train_wildcards_digits_plain_corrected_0"]
        assert train["TRES"].startswith("cpu=1,mem=6000M")
        assert (train["TimeLimit"], train["TresPerJob"]) == ("2-00:00:00", "gres:gpu:1")
        score = jobs["rule_score-digits-plain-corrected-seed0_score"]
        assert score["TRES"].startswith("cpu=1,mem=4000M")  # of one, and the time of three
        assert (score["TimeLimit"], score["TresPerJob"]) == ("01:30:00", "")

    def test_a_local_run_finds_nothing_to_do_afterwards_and_no_snakemake_is_thought_alive(self, finished):
        folder, _ = finished
        assert "Nothing to be done" in snakemake(folder, TABLE, "-n").stdout
        assert list((folder / HEADS).iterdir()) == []

    def test_jobs_of_a_killed_snakemake_end_when_the_next_one_starts(self, slurm, tmp_path):
        write_inputs(tmp_path)
        process = submit(tmp_path)
        job = wait_for(slurm, process, "rule_")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        assert not (tmp_path / MODEL).exists()
        again = submit(tmp_path, "--until", "fetch_archive")
        assert again.wait(300) == 0, (tmp_path / "output.txt").read_text()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and slurm.run("squeue", "-h"):
            time.sleep(0.5)
        assert slurm.run("squeue", "-h") == ""
        assert "FAILED" in {each["JobState"] for each in slurm.jobs() if int(each["JobId"]) >= int(job)}
        assert "removing the lock it left" in (tmp_path / "output.txt").read_text()
