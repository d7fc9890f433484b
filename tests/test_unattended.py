"""Disks that are full or read-only, files of writers that live or are dead, clocks that jump, and work that hangs."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from methods.data.image_writer import write_images
from methods.data.images import ImageSet
from methods.disk import disk_trouble, require_writable
from methods.errors import ReproError
from methods.features.arrays import Features
from methods.features.score_store import write_detectors, write_scores
from methods.features.store import write_features
from methods.files import atomic, whole_folder, write_text
from methods.liveness import machine, process_identity
from methods.networks.weights import save_model
from tests.disks import small_disk
from tests.workflow import EVALUATION, MODEL, ROOT, TABLE, launch, snakemake, write_inputs
from workflow_scripts.clock import bring_back

ROWS = 3000
ARRAY = np.random.default_rng(0).standard_normal((ROWS, 64)).astype(np.float32)
NAMES = tuple(f"image_{index}" for index in range(ROWS))
LABELS = np.arange(ROWS) % 10
FEATURES = Features(embedding=ARRAY, labels=LABELS, sample_ids=NAMES)
IMAGES = ImageSet(
    images=np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8, 3), dtype=np.uint8),
    labels=LABELS,
    sample_ids=NAMES,
    classes=tuple("0123456789"),
)
WRITERS = {
    "features": lambda path: write_features(path, FEATURES, {"kind": "features"}),
    "images": lambda path: write_images(path, IMAGES, {"kind": "images"}),
    "scores": lambda path: write_scores(path, {f"s{i}": ARRAY[:, i] for i in range(50)}, FEATURES, {}),
    "detectors": lambda path: write_detectors(path, {"knn": {"bank": ARRAY}}, {}),
    "model": lambda path: save_model(path, {"head.weight": ARRAY}, {"kind": "model"}),
    "text": lambda path: write_text(path, "a line\n" * 50_000),
}


UMASK = os.umask(0o022)
os.umask(UMASK)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_a_sentence_leaves_nothing_and_with_room_the_bytes_are_the_same(tmp_path, kind):
    write, place = WRITERS[kind], tmp_path / "disk"
    write(tmp_path / "elsewhere")
    with small_disk(place, "200k") as mount:
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- each library has its own
            write(place / "file")
        told = disk_trouble(caught.value, [tmp_path, place])
        assert f"The disk of {place} has no room left" in told
        assert "free): make room" in told
        assert list(place.iterdir()) == []
        mount("size=4m")
        write(place / "file")
        assert (place / "file").read_bytes() == (tmp_path / "elsewhere").read_bytes()


def test_hdf5_survives_a_disk_that_is_full_when_it_closes(tmp_path):
    with small_disk(tmp_path / "disk", "40k"):
        script = (
            "import sys; from methods.hdf5 import create_hdf5\n"
            "try:\n with create_hdf5(sys.argv[1]) as file: file['x'] = b'0' * 4000; file.attrs['a'] = 'b' * 60000\n"
            "except OSError as error: print(error.errno)\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "disk/file")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{errno.ENOSPC}\n", "")


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "has no room left"), (errno.EDQUOT, "The quota on"), (errno.EROFS, "is read-only")],
)
def test_an_error_of_the_disk_is_known_also_where_it_is_wrapped_and_where_no_file_is_named(tmp_path, number, said):
    named = OSError(number, os.strerror(number), str(tmp_path / "sub/file"))
    assert f"{tmp_path} " in disk_trouble(named, ["/"])
    wrapped = RuntimeError("a library's own words")
    wrapped.__cause__ = OSError(number, os.strerror(number))
    text = RuntimeError(f"Error while serializing: I/O error (os error {number})")
    for error in (named, wrapped, text):
        assert said in disk_trouble(error, [tmp_path])
        assert "run the same command again" in disk_trouble(error, [tmp_path])
    assert disk_trouble(OSError(errno.EACCES, "no"), [tmp_path]) is None
    assert disk_trouble(ValueError("no space in this name"), [tmp_path]) is None


def test_a_read_only_folder_is_refused_by_name_also_one_that_does_not_exist_yet(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as mount:
        require_writable(tmp_path / "disk/new/results", "results.folder")
        mount("ro")
        with pytest.raises(ReproError, match=r"results.folder is .*/new/results, .* read-only: mount it for writing"):
            require_writable(tmp_path / "disk/new/results", "results.folder")
    assert not (tmp_path / "disk/new").exists()


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    started = process_identity(done.pid).partition(":")[2]
    done.wait()
    return f"{done.pid}-{started}"


def test_a_temporary_file_of_a_living_writer_is_left_alone_and_one_of_a_dead_writer_removed(tmp_path):
    target = tmp_path / "model.h5"
    left = {
        "dead": f"{machine()}-{dead_process()}-00000000.tmp",
        "dead_raw": f"{machine()}-{dead_process()}-00000000.raw.tmp",
        "recycled": f"{machine()}-{os.getpid()}-1-00000000.tmp",  # this process has another start time
        "older_version": "0badcafe.tmp",
        "elsewhere_long_ago": "00000000-1-1-00000000.tmp",
        "elsewhere": "00000000-1-2-00000000.tmp",
        "another_target": f"gz.{machine()}-{dead_process()}-00000000.tmp",
    }
    paths = {name: tmp_path / f".model.h5.{rest}" for name, rest in left.items()}
    with atomic(target) as first:
        first.write_text("first")
        first.chmod(0o600)
        for path in paths.values():
            path.write_text("x")
        os.utime(paths["elsewhere_long_ago"], (0, time.time() - 3 * 86400))
        with atomic(target) as second:
            assert {name for name, path in paths.items() if path.exists()} == {"elsewhere", "another_target"}
            assert first.exists()
            second.write_text("second")
    assert target.read_text() == "first"
    assert target.stat().st_mode & 0o777 == 0o666 & ~UMASK
    assert not first.exists()
    assert not second.exists()


def test_a_folder_is_replaced_whole_and_never_seen_in_parts(tmp_path, monkeypatch):
    target = tmp_path / "site"
    with whole_folder(target) as folder:
        (folder / "index.html").write_text("old")
    seen = []
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda *paths: (seen.append(sorted(p.name for p in target.rglob("*"))), replace(*paths))
    )
    with whole_folder(target) as folder:
        (folder / "index.html").write_text("new")
        (folder / "more.html").write_text("new")
    assert seen == [["index.html"], []]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["index.html", "more.html", "site"]


def test_files_from_the_future_come_back_in_their_order_and_others_stay(tmp_path):
    now = time.time()
    times = {
        "old": now - 100,
        "third": now + 7200,
        "first": now + 3600,
        "second": now + 3600.5,
        "clocks_differ": now + 1,
    }
    for name, when in times.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (when, when))
    found = bring_back([str(tmp_path / name) for name in (*times, "missing")], [])
    assert [Path(name).name for name in found] == ["first", "second", "third"]
    after = {name: (tmp_path / name).stat().st_mtime for name in times}
    assert after["old"] < after["first"] < after["second"] < after["third"] < time.time()
    assert after["old"] == pytest.approx(times["old"], abs=0.01)
    assert after["clocks_differ"] == pytest.approx(times["clocks_differ"], abs=0.01)


def test_a_file_from_the_future_that_cannot_be_changed_is_refused_if_a_job_reads_it(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as mount:
        path = tmp_path / "disk/train.h5"
        path.touch()
        os.utime(path, (time.time() + 3600,) * 2)
        mount("ro")
        assert bring_back([str(path)], []) == [str(path)]
        with pytest.raises(ReproError, match=r"train.h5 is 3[56]\d\d s younger than this machine's clock"):
            bring_back([str(path)], [str(path)])


@pytest.mark.workflow
def test_after_the_clock_was_set_back_what_is_there_stays_and_what_is_missing_is_made(tmp_path, micro_run):
    subprocess.run(
        ["cp", "-a", *(micro_run / name for name in ("data", "results", ".snakemake")), tmp_path], check=True
    )
    write_inputs(tmp_path)
    for part in ("data", "results"):
        for path in (tmp_path / part).rglob("*"):
            os.utime(path, ns=(path.stat().st_mtime_ns + 86400 * 10**9,) * 2)
    for form in ("csv", "md", "tex", "html"):
        (tmp_path / TABLE).with_suffix(f".{form}").unlink()
    done = launch(tmp_path, TABLE)
    assert done.returncode == 0, done.stdout
    assert "files were from the future" in done.stdout
    assert re.findall(r"^\[1/1\] \S+ (\w+)", done.stdout, re.M) == ["table"]
    assert (tmp_path / TABLE).read_bytes() == (micro_run / TABLE).read_bytes()
    assert "Nothing to be done" in launch(tmp_path, TABLE).stdout


FEATURE = f"{EVALUATION}/features/digits/train.h5"  # 86 kB


@pytest.mark.workflow
def test_a_results_folder_on_a_full_disk_stops_with_a_sentence_and_goes_on_once_there_is_room(tmp_path, micro_run):
    write_inputs(tmp_path)
    with small_disk(tmp_path / "results", "1m") as mount:
        for name in ("data", "results/runs", ".snakemake"):  # the model is there
            subprocess.run(["cp", "-a", micro_run / name, tmp_path / name], check=True)
        (tmp_path / FEATURE).unlink()
        ballast = tmp_path / "results/ballast"
        room = os.statvfs(tmp_path / "results")
        ballast.write_bytes(bytes(room.f_bavail * room.f_bsize - (76 << 10)))
        stopped = launch(tmp_path, FEATURE)
        assert stopped.returncode != 0
        assert f"extract_features: The disk of {(tmp_path / FEATURE).parent} has no room left" in stopped.stdout
        assert [path.name for path in (tmp_path / FEATURE).parent.iterdir()] == ["test.h5"]  # another, made before
        mount("size=4m")
        assert launch(tmp_path, FEATURE).returncode == 0
        assert (tmp_path / FEATURE).read_bytes() == (micro_run / FEATURE).read_bytes()


@pytest.mark.workflow
def test_a_read_only_results_folder_is_told_before_the_first_job(tmp_path):
    write_inputs(tmp_path)
    with small_disk(tmp_path / "results", "1m") as mount:
        mount("ro")
        done = launch(tmp_path, FEATURE)
    assert done.returncode == 1
    assert "results.folder is results, which takes no files. The file system of" in done.stdout
    assert not re.search(r"^Job \d+:", done.stdout, re.M)
    assert not (tmp_path / "data").exists()


@pytest.mark.workflow
def test_a_read_only_folder_of_prepared_images_serves_and_nothing_is_written_into_it(tmp_path, micro_run):
    with small_disk(tmp_path / "shared", "4m") as mount:
        subprocess.run(["cp", "-a", micro_run / "data", tmp_path / "shared"], check=True)
        (tmp_path / "shared/data/images/uniform_noise/test@8px-native.h5").unlink()
        mount("ro")
        (tmp_path / "own").mkdir()
        write_inputs(tmp_path / "own", data={"folder": str(tmp_path / "shared/data")})
        done = launch(tmp_path / "own", MODEL)
        assert done.returncode == 0, done.stdout
        assert (tmp_path / "own" / MODEL).read_bytes() == (micro_run / MODEL).read_bytes()
        missing = snakemake(tmp_path / "own", f"{tmp_path}/shared/data/images/uniform_noise/test@8px-native.h5")
    assert missing.returncode == 1
    assert f"data.folder is {tmp_path}/shared/data, which takes no files." in missing.stdout


HANGS = """
import sys, time
from pathlib import Path
from methods.progress import beat
from methods.watchdog import watch
watch(float(sys.argv[1]), lambda said: print(said, flush=True), Path(sys.argv[2]))
for step in range(4):
    beat(f"step {step} of a test")
    time.sleep(0.4)
def wait_for_ever():
    time.sleep(60)
wait_for_ever()
"""


def test_work_that_hangs_is_ended_with_its_last_progress_and_the_place_where_it_hung(tmp_path):
    log = tmp_path / "job.log"
    command = [sys.executable, "-c", HANGS, str(1 / 60), str(log)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=50)
    assert time.monotonic() - start < 30
    assert done.returncode == 1
    assert "This job hangs: no progress for 0.0" in done.stdout
    assert "the last was step 3 of a test" in done.stdout
    assert f"Where each thread hung is in {log}" in done.stdout
    assert "in wait_for_ever" in log.read_text()


def test_work_that_goes_on_and_work_that_never_gave_a_sign_are_left_alone(tmp_path):
    script = HANGS.replace("time.sleep(60)", "pass").replace("range(4)", "range(8)")
    silent = "import time; from methods.watchdog import watch; watch(0.01, print); time.sleep(2)"
    for words in ([script, str(2 / 60), str(tmp_path / "log")], [silent]):
        assert subprocess.run([sys.executable, "-c", *words], cwd=ROOT, check=False, timeout=50).returncode == 0


def test_a_process_that_was_stopped_meanwhile_did_not_hang(tmp_path):
    script = HANGS.replace("time.sleep(60)", "pass").replace("range(4)", "range(10)")
    process = subprocess.Popen([sys.executable, "-c", script, str(2 / 60), str(tmp_path / "log")], cwd=ROOT)
    time.sleep(1.5)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    process.send_signal(signal.SIGCONT)
    assert process.wait(50) == 0
