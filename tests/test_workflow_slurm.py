"""The workflow on a Slurm cluster: what the profile asks for, and a real one where slurmctld is installed."""

import copy
import importlib.util
import itertools
import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack, suppress

import pytest
import yaml

from tests import tutorials
from tests.slurm_node import SlurmNode, what_is_missing
from tests.workflow import PAPER, ROOT, TABLE, environment, snakemake, write_inputs
from workflow_scripts.cluster.head import HEADS

pytestmark = pytest.mark.workflow
PROFILE = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
needs_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="snakemake-executor-plugin-slurm is not installed: pip install -r requirements-slurm.txt",
)
needs_slurm = pytest.mark.skipif(what_is_missing() is not None, reason=f"no Slurm: {what_is_missing()}")
RUN, QUEUE, LOG, CANCEL, AGAIN, FAILED = range(6)  # blocks of the tutorial that need a cluster
RUN_OF_THE_PAGE = "results/runs/digits8/plain/corrected/seed1"
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


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project after what the tutorial does before it needs a cluster."""
    return tutorials.go_on("slurm", tmp_path_factory, tmp_path_factory.mktemp("slurm"))


@needs_plugin
def test_the_tutorials_profile_has_an_account_and_partitions_and_starts_nothing(project):
    profile = yaml.safe_load((project / "profiles/here/config.yaml").read_text())
    assert profile.pop("default-resources") == {"slurm_account": "my_project", "slurm_partition": "cpu"}
    for rule in ("train", "extract_features"):
        assert profile["set-resources"][rule].pop("slurm_partition") == "gpu"
    del profile["set-resources"]["train"]
    assert profile == PROFILE
    assert not (project / RUN_OF_THE_PAGE).exists()


def fit_to_the_node(root):
    """The page's profile for the cluster of the test: no accounting, short waits, a GPU that is only counted."""
    path = root / "profiles/here/config.yaml"
    profile = yaml.safe_load(path.read_text())
    del profile["default-resources"]["slurm_account"]
    profile |= {"slurm-status-command": "squeue", "slurm-no-account": True, "latency-wait": 20}
    profile |= {"slurm-init-seconds-before-status-checks": 1, "seconds-between-status-checks": 1}
    profile["set-resources"]["train"]["gpu"] = 1
    path.write_text(yaml.safe_dump(profile))
    config = root / "config.yaml"
    config.write_text(config.read_text().replace("device: auto", "device: cpu"))  # not the one that is only counted


class Page:
    """The tutorial's blocks that need a cluster, with the texts that follow them, by their order."""

    def __init__(self, root):
        self.root, parts = root, tutorials.blocks("slurm")
        self.blocks = [part for part in parts if part.title == tutorials.CLUSTER]
        following = dict(itertools.pairwise(parts))
        self.texts = {part: following[part].text for part in self.blocks if following[part].language == "text"}

    def start(self, number):
        """Begin a block in a terminal of its own."""
        terminal = tutorials.Terminal(self.root, "first")
        command, streams = (
            terminal.command(self.blocks[number]),
            {"stderr": subprocess.STDOUT, "start_new_session": True},
        )
        with open(self.root / f"output{number}.txt", "w") as output:
            return subprocess.Popen(command, env=terminal.environment, stdout=output, **streams)

    def run(self, number):
        """Carry a block out in the second terminal."""
        self.compare(number, tutorials.Terminal(self.root, "second").run(self.blocks[number], f"block {number}"))

    def compare(self, number, output):
        """Hold what it printed against what the page shows."""
        if text := self.texts.get(self.blocks[number]):
            tutorials.compare(text, output, f"block {number}")


def wait_for(slurm, process, comment, after=0):
    """Number of the first job beyond ``after`` of that comment that runs."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        for job in slurm.jobs():
            if comment in job["Comment"] and job["JobState"] == "RUNNING" and int(job["JobId"]) > after:
                return int(job["JobId"])
        time.sleep(0.3)
    raise AssertionError(f"no job {comment} was running; exit code {process.poll()}")


def kill(process):
    """As if the machine died that submits."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


@pytest.fixture(scope="module")
def finished(slurm, project):
    """The page carried out on the cluster: its folder, and the jobs of the run that died and of the second one.

    The first run is killed while it trains; in the second a training is cancelled and the controller is away a while.
    """
    fit_to_the_node(project)
    page = Page(project)
    process = page.start(RUN)
    wait_for(slurm, process, "rule_train")
    kill(process)
    dead = int(slurm.jobs()[-1]["JobId"])
    process = page.start(AGAIN)
    wait_for(slurm, process, "rule_train", after=dead)
    page.run(QUEUE)
    while not list(project.glob("logs/train/digits8/*/corrected/seed1.log")):
        time.sleep(0.3)
    page.run(LOG)
    page.run(CANCEL)
    wait_for(slurm, process, "_extract_features", after=dead)
    slurm.stop_controller()
    time.sleep(3)
    slurm.start_controller()
    code, output = process.wait(1500), (project / f"output{AGAIN}.txt").read_text()
    assert code == 0, output
    page.compare(AGAIN, output)
    page.run(FAILED)
    jobs = slurm.jobs()
    return (
        project,
        [job for job in jobs if int(job["JobId"]) <= dead],
        [job for job in jobs if int(job["JobId"]) > dead],
    )


@needs_plugin
@needs_slurm
@pytest.mark.slow
@pytest.mark.timeout(2400)
class TestRealSlurm:
    def test_a_cancelled_training_is_submitted_again_and_the_run_ends_well(self, finished):
        _, _, jobs = finished
        trainings = sorted(job["JobState"] for job in jobs if "rule_train" in job["Comment"])
        assert trainings == ["CANCELLED", "COMPLETED", "COMPLETED"]
        assert {job["JobState"] for job in jobs if "rule_train" not in job["Comment"]} == {"COMPLETED"}
        assert len(jobs) == 15  # the page's submissions and one more

    def test_jobs_of_a_killed_snakemake_end_when_the_next_one_starts(self, finished):
        _, dead, _ = finished
        assert dead
        assert {job["JobState"] for job in dead} == {"FAILED"}

    def test_memory_time_cpus_gpus_and_partitions_reach_slurm(self, finished):
        jobs = {job["Comment"]: job for job in finished[2]}
        train = jobs["rule_train_wildcards_digits8_plain_corrected_1"]
        assert train["TRES"].startswith("cpu=1,mem=6000M")
        assert (train["TimeLimit"], train["TresPerJob"], train["Partition"]) == ("2-00:00:00", "gres:gpu:1", "gpu")
        score = jobs["rule_score-digits8-plain-corrected-seed1_score"]
        assert score["TRES"].startswith("cpu=1,mem=4000M")  # of one, and the time of three
        assert (score["TimeLimit"], score["TresPerJob"], score["Partition"]) == ("01:30:00", "", "cpu")

    def test_a_local_run_finds_nothing_to_do_afterwards_and_no_snakemake_is_thought_alive(self, finished):
        root, _, _ = finished
        command = ["make", "why", "TARGET=first"]
        done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=True)
        assert "Nothing to be done" in done.stdout + done.stderr
        assert list((root / HEADS).iterdir()) == []
