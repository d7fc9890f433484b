"""GPUs for jobs, on a machine that has none: who gets which, who waits, and what a death leaves behind."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from methods.errors import ReproError
from methods.training import processes
from methods.training.processes import fit_on_devices
from tests import workflow
from workflow_scripts import gpus
from workflow_scripts.gpu_pool import devices, slots
from workflow_scripts.gpu_pool.devices import FAKE, VISIBLE, Gpu, gpus_here, listed
from workflow_scripts.gpu_pool.slots import FOLDER, own_gpus, slot_folder

PATIENCE = 20.0
# A job: says when it holds its GPUs, and lets go when its standard input ends
JOB = """
import os, sys
from workflow_scripts.gpu_pool.slots import own_gpus
print("started", flush=True)
with own_gpus(int(sys.argv[1])) as mine:
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""
# The same, with a process that computes for it and outlives it
PARENT = JOB.replace(
    "    sys.stdin.read()",
    """    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False)
    print(child.pid, flush=True)
    child.wait()""",
)
PLAIN = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-2)
"""
SPLIT = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.20gb     Device  1: (UUID: MIG-dddd-4)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A folder of slots of its own, and two GPUs that do not exist."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "slots"))
    monkeypatch.setenv(FAKE, "2")
    monkeypatch.delenv(VISIBLE, raising=False)
    return tmp_path / "slots"


@pytest.fixture
def start(pool):
    """Starts jobs and ends what is left of them."""
    jobs = []

    def job(count=1, code=JOB, **environment):
        command = [sys.executable, "-c", code, str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        jobs.append(subprocess.Popen(command, cwd=workflow.ROOT, env={**os.environ, **environment}, text=True, **pipes))
        assert jobs[-1].stdout.readline() == "started\n"
        return jobs[-1]

    yield job
    for process in jobs:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def devices_of(job):
    """What the job was given; waits for it."""
    return job.stdout.readline().strip()


def has_some(job, seconds=0.7):
    """Whether the job gets its devices within a while."""
    import select

    return bool(select.select([job.stdout], [], [], seconds)[0])


def test_every_job_gets_a_device_of_its_own_and_the_third_waits(start):
    first, second = start(), start()
    assert sorted(map(devices_of, (first, second))) == ["0", "1"]
    third = start()
    assert not has_some(third)
    second.stdin.close()
    assert devices_of(third) in ("0", "1")


def test_a_killed_job_gives_its_device_back(start):
    first, second = start(), start()
    taken = [devices_of(first), devices_of(second)]
    third = start()
    first.send_signal(signal.SIGKILL)
    assert devices_of(third) == taken[0]


def test_a_killed_job_keeps_its_device_while_a_process_of_it_computes(start):
    parent = start(2, PARENT)
    assert devices_of(parent) == "0,1"
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait(PATIENCE)
    waiting = start()
    assert not has_some(waiting)
    os.kill(child, signal.SIGKILL)
    assert devices_of(waiting) == "0"


def test_the_processes_of_a_training_inherit_the_locks(pool, monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0,1")
    with own_gpus(2):
        locks = [int(name) for name in os.listdir("/proc/self/fd") if _is_lock(name)]
        code = f"import os, sys; [os.fstat(lock) for lock in {locks}]; sys.exit(3)"
        monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", code])
        with pytest.raises(ReproError, match="ended with code 3"):
            fit_on_devices({}, {}, {"device": "cpu", "devices": 2}, tmp_path / "resume" / "checkpoint")
    assert len(locks) == 2


def _is_lock(name):
    try:
        return os.path.basename(os.readlink(f"/proc/self/fd/{name}")).startswith("fake")
    except FileNotFoundError:  # that of the listing itself
        return False


def test_a_job_of_two_keeps_the_first_that_is_free_and_is_not_passed_over(start):
    first, second = start(), start()
    taken = [devices_of(first), devices_of(second)]
    both = start(2)
    assert not has_some(both)
    first.stdin.close()
    first.wait(PATIENCE)
    time.sleep(0.3)  # five looks of the one at the gate
    late = start()
    assert not has_some(late)
    second.stdin.close()
    assert sorted(devices_of(both).split(",")) == sorted(taken)
    assert not has_some(late)
    both.stdin.close()
    assert devices_of(late) == "0"


def test_two_jobs_of_two_do_not_block_each_other(start):
    blocker = start()
    assert devices_of(blocker) == "0"
    pair = [start(2), start(2)]
    blocker.stdin.close()
    deadline = time.monotonic() + PATIENCE
    while not (ready := [job for job in pair if has_some(job, 0.1)]):
        assert time.monotonic() < deadline
    assert devices_of(ready[0]) == "0,1"
    ready[0].stdin.close()
    (other,) = [job for job in pair if job is not ready[0]]
    assert devices_of(other) == "0,1"


def test_jobs_that_may_use_other_devices_do_not_wait_for_one_another(start):
    """As two jobs of a cluster on one node, or a user who keeps a workflow to one GPU."""
    first = start(**{VISIBLE: "0"})
    assert devices_of(first) == "0"
    queued = start(**{VISIBLE: "0"})
    assert not has_some(queued)
    assert devices_of(start(**{VISIBLE: "1"})) == "1"


def test_a_process_that_ends_well_lets_go_at_once(pool, monkeypatch):
    monkeypatch.setenv(VISIBLE, "1")  # so that the test's own change is undone
    for _ in range(3):
        with own_gpus(1) as mine:
            assert [gpu.name for gpu in mine] == ["1"]
            assert slots.try_lock(pool / "fake1") is None
        os.close(slots.try_lock(pool / "fake1"))


def test_a_job_without_gpus_takes_none(pool):
    with own_gpus(0) as mine:
        assert mine == []
    assert VISIBLE not in os.environ
    assert not pool.exists()


def test_a_lock_file_that_was_replaced_meanwhile_does_not_count(tmp_path, monkeypatch):
    lock, flock = tmp_path / "slot", slots.fcntl.flock

    def replaced(handle, mode):
        flock(handle, mode)
        lock.unlink()
        lock.touch()

    monkeypatch.setattr(slots.fcntl, "flock", replaced)
    assert slots.try_lock(lock) is None
    monkeypatch.setattr(slots.fcntl, "flock", flock)
    os.close(slots.try_lock(lock))


def test_more_devices_than_there_are_is_refused(pool, monkeypatch):
    with pytest.raises(ReproError, match=r"asks for 3 GPUs, but there are 2 here: set config.hardware.devices to 2"):
        own_gpus(3).__enter__()
    monkeypatch.setenv(VISIBLE, "")
    with pytest.raises(ReproError, match=r"there is none here \(CUDA_VISIBLE_DEVICES is ''\)"):
        own_gpus(1).__enter__()


def test_cuda_must_not_have_started_before_the_device_is_chosen(pool, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: True)))
    with pytest.raises(ReproError, match="CUDA had started before the job had its GPU"):
        own_gpus(1).__enter__()


def test_a_slot_folder_of_somebody_else_is_refused(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(slots, "_SHARED", slots.Path("/proc/nowhere"))
    monkeypatch.setattr(slots.Path, "mkdir", lambda *arguments, **options: None)
    stranger = SimpleNamespace(st_uid=os.getuid() + 1, st_mode=0o40700)
    monkeypatch.setattr(slots.Path, "lstat", lambda path: stranger)
    with pytest.raises(ReproError, match=rf"belongs to user {os.getuid() + 1}: have it removed"):
        slot_folder()


def test_two_checkouts_find_one_folder_whatever_their_tmpdir(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(slots, "_SHARED", tmp_path)
    first = slot_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "other"))
    assert slot_folder() == first
    assert first.stat().st_mode & 0o777 == 0o700


def named(found):
    return [gpu.name for gpu in found]


def test_nvidia_smi_is_read_with_the_parts_of_split_gpus():
    assert listed(PLAIN) == [Gpu("0", "GPU-aaaa-1", "GPU-aaaa-1"), Gpu("1", "GPU-bbbb-2", "GPU-bbbb-2")]
    assert named(listed(SPLIT)) == ["MIG-cccc-3", "MIG-dddd-4", "GPU-bbbb-2"]
    assert listed("No devices were found\n") == []


@pytest.mark.parametrize(
    ("text", "visible", "expected"),
    [
        (PLAIN, None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        (PLAIN, "1", ["GPU-bbbb-2"]),
        (PLAIN, "1, 0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        (PLAIN, "GPU-bb", ["GPU-bbbb-2"]),
        (PLAIN, "1,GPU-bbbb-2", ["GPU-bbbb-2"]),
        (PLAIN, "", []),
        (PLAIN, "-1,0", []),
        (PLAIN, "0,7,1", ["GPU-aaaa-1"]),
        (SPLIT, "MIG-dddd-4", ["MIG-dddd-4"]),
        (SPLIT, "0", ["MIG-cccc-3", "MIG-dddd-4"]),
    ],
)
def test_the_variable_restricts_the_pool_under_names_that_mean_one_device_for_all(text, visible, expected, monkeypatch):
    monkeypatch.delenv(FAKE, raising=False)
    monkeypatch.setattr(devices, "_names", lambda: text)
    if visible is None:
        monkeypatch.delenv(VISIBLE, raising=False)
    else:
        monkeypatch.setenv(VISIBLE, visible)
    assert named(gpus_here()) == expected


@pytest.fixture
def container(tmp_path, monkeypatch):
    """/dev of a container with the third and the fourth GPU of its machine, of which the fourth is forbidden."""
    for name in ("nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(devices, "_DEVICES", tmp_path)
    monkeypatch.setattr(devices, "_LIST", ("no-such-nvidia-smi",))
    monkeypatch.setattr(devices, "_opens", lambda path: path.name != "nvidia3")
    monkeypatch.delenv(FAKE, raising=False)
    monkeypatch.delenv(VISIBLE, raising=False)


def test_without_nvidia_smi_device_files_that_may_be_opened_count(container, monkeypatch):
    assert gpus_here() == [Gpu("0", "0", "nvidia2")]
    monkeypatch.setenv(VISIBLE, "GPU-aaaa-1")
    assert gpus_here() == [Gpu("GPU-aaaa-1", "GPU-aaaa-1", "GPU-aaaa-1")]


def test_a_job_claims_a_gpu_where_there_is_one(container, monkeypatch):
    assert [gpus.gpus_claimed(device) for device in ("auto", "cuda", "cpu")] == [1, 1, 0]
    monkeypatch.setenv(VISIBLE, "")
    assert [gpus.gpus_claimed(device) for device in ("auto", "cuda", "cpu")] == [0, 1, 0]


@pytest.mark.parametrize(
    ("given", "nodes", "main", "expected"),
    [({}, None, True, {"gpu": 2}), ({"gpu": 1}, None, True, {}), ({}, 8, True, {}), ({}, None, False, {})],
    ids=["found", "asked for", "cluster", "job"],
)
def test_snakemake_is_told_of_the_gpus_here_unless_it_knows(given, nodes, main, expected, pool):
    told = {}
    settings = SimpleNamespace(nodes=nodes)
    known = {"global_resources": given, "resource_settings": settings, "is_main_process": main}
    gpus.limit_gpus(SimpleNamespace(**known, register_resource=told.__setitem__))
    assert told == expected


@pytest.mark.workflow
def test_the_workflow_shares_the_gpus_it_finds(tmp_path, monkeypatch):
    """On a CPU, as if there were three, one of them hidden: two for the training (in two processes), one else."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "slots"))
    monkeypatch.setenv(FAKE, "3")
    monkeypatch.setenv(VISIBLE, "0,2")
    workflow.write_inputs(tmp_path, hardware={"device": "auto", "devices": 2})
    done = workflow.snakemake(tmp_path, f"{workflow.EVALUATION}/features/uniform_noise/test.h5")
    assert done.returncode == 0, done.stdout
    assert 'Provided resources: gpu=Resource("gpu", 2)' in done.stdout
    logs = {path.parts[-3:]: path.read_text() for path in (tmp_path / "logs").rglob("*.log")}
    assert sum("computes on GPU" in text for text in logs.values()) == 2
    (trained,) = [text for name, text in logs.items() if name[-1] == "seed0.log"]
    assert "computes on GPU 0, 2 (2 may be used), after" in trained
    assert {path.name for path in (tmp_path / "slots").iterdir()} == {"gate", "fake0", "fake2"}
