"""Evidence: one flipped byte anywhere is found, nothing is made, and a bundle tells two runs apart."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import pytest

from methods.errors import ReproError
from methods.files import sha256_bytes, sha256_file
from methods.settings import digests
from methods.settings.load import load_study
from methods.settings.schema import load_yaml
from tests.workflow import EVALUATION, MODEL, PAPER, ROOT, TABLE, environment, snakemake, write_inputs
from workflow_scripts.verification import hashes
from workflow_scripts.verification.bundle import MANIFEST, check, pack, read_bundle, to_bytes
from workflow_scripts.verification.compare import compare, open_side
from workflow_scripts.verification.evidence import gather
from workflow_scripts.verification.layout import KINDS, place_of
from workflow_scripts.verification.verify import STATES, verify

pytestmark = pytest.mark.workflow

BUNDLE = "results/papers/micro/bundle.zip"
FEATURES = f"{EVALUATION}/features/digits/test.h5"
METRICS = f"{EVALUATION}/metrics.csv"


def paper(**change):
    """The micro paper with every kind of artifact: tuned scores, one through the network, candidate outlier sets."""
    found = copy.deepcopy(PAPER)
    found["scores"]["knn"]["tune"] = {"k": [5, 50]}
    found["scores"]["odin"] = {"score": "odin"}
    found["evaluate"]["digits"]["plain"].append("odin")
    digits = found["benchmarks"]["digits"]
    digits["ood_validation"] = {"digits_blended": {}}
    digits["outlier_selection"] = {"candidates": {"uniform_noise": {"split": "test"}}, "top_k": 4}
    found["tables"]["outliers"] = {"kind": "dilation", "benchmark": "digits", "caption": "Candidates"}
    found["tables"]["cost"] = {"kind": "cost", "benchmark": "digits", "caption": "Cost"}
    found["figures"]["scores"] = {"kind": "score_histograms", "benchmark": "digits", "caption": "S", "scores": ["msp"]}
    return {**found, **change}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which that paper was run to the end and packed."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder, paper())
    for target in ("tables", "bundle"):  # in two calls, each with the time limit of one
        done = snakemake(folder, target)
        assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    """A copy with the times of the original, in which this process then works."""
    copied = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(copied)
    return copied


@pytest.fixture
def inside(finished, monkeypatch):
    """The finished folder itself, for tests that put back what they change."""
    monkeypatch.chdir(finished)
    return finished


def study():
    return load_study(load_yaml(Path("config.yaml")))


def verified(own=None):
    lines = []
    return verify(own or study(), lines.append), "\n".join(lines)


def kinds(content):
    return {finding["kind"] for finding in content["findings"]}


@contextmanager
def flipped(path, position, *, old_time):
    """One bit of a byte turned over, with the time of the original or of now; put back afterwards."""
    content, times = path.read_bytes(), path.stat()
    place = int(position * (len(content) - 1))
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    if old_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    yield
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def command(*arguments, cwd):
    line = [sys.executable, "-m", "workflow_scripts.verification", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)


# Verify


def test_a_finished_folder_is_whole_and_its_report_always_the_same(inside):
    content, text = verified()
    assert (content["state"], content["findings"], content["unvouched"], content["not_made"]) == ("ok", [], [], [])
    assert len(content["outputs"]) == 5
    assert all(part == {"state": "ok"} for part in content["outputs"].values())
    missing = [kind for kind in KINDS if content["counts"][kind] == 0]
    assert missing == ["source"], "the folder is to have every other kind of artifact"
    assert text.endswith("OK: every link from table to archive holds.")
    assert re.search(r"Hashed in .* s, .*B/s", text)
    first = Path("results/verify.json").read_bytes()
    verified()
    assert Path("results/verify.json").read_bytes() == first
    assert json.loads(first) == content


@pytest.mark.parametrize("old_time", [True, False], ids=["old time", "new time"])
def test_one_flipped_byte_in_any_file_is_found_and_named(inside, old_time):
    own, places = study(), [0.0, 0.5, 1.0]
    files = [path for folder in ("data", "results") for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    files = [path for path in files if path.name not in ("verify.json", "datasets.lock.json")]
    seen = {place.kind for place in map(place_of, map(str, files)) if place}
    assert seen == set(KINDS) - {"source"}
    for number, path in enumerate(files):
        with flipped(path, places[number % 3], old_time=old_time):
            content, text = verified(own)
        name = str(path).replace("hashes/", "").removesuffix(".sha256") if "/hashes/" in str(path) else str(path)
        assert content["state"] == "broken", path
        assert {finding["artifact"] for finding in content["findings"] if finding["kind"] != "stale"} == {name}
        assert str(path) in text
        assert "What to do: " in text
    assert verified(own)[0]["state"] == "ok"


def test_without_kept_hashes_readers_still_find_a_flipped_byte(folder):
    for root in ("data", "results"):
        shutil.rmtree(folder / root / hashes.FOLDER)
    content, text = verified()
    assert content["state"] == "ok"
    leaves = {Path(key).suffix for key in content["unvouched"]}
    assert {".md", ".tex", ".html", ".pdf", ".json"} <= leaves
    assert not {".h5", ".safetensors"} & leaves
    assert "No record holds a hash of" in text
    for path in (FEATURES, MODEL, METRICS, f"{EVALUATION}/detectors.h5", "data/images/digits/test@8px-native.h5"):
        with flipped(folder / path, 0.9, old_time=True):
            content, _ = verified()
        (finding,) = [f for f in content["findings"] if f["kind"] == "changed"]
        assert finding["artifact"] == path
        assert finding["found"] != finding["recorded"] == sha256_file(folder / path)


def test_a_damaged_table_says_which_link_of_it_does_not_hold(inside):
    with flipped(Path(FEATURES), 0.5, old_time=True):
        content, text = verified()
    states = {key: part["state"] for key, part in content["outputs"].items()}
    assert states[TABLE] == "broken"
    assert content["outputs"][TABLE]["first"].startswith(f"{FEATURES} was changed: ")
    assert states["results/papers/micro/figures/curves.svg"] == "ok"
    (finding,) = content["findings"]
    assert finding["role"] == "features, test"
    assert set(finding["witnesses"]) == {
        "its own line in hashes",
        METRICS,
        f"{EVALUATION}/scores/digits/test.h5",
    }
    assert f"CHANGED: {FEATURES} was changed" in text
    assert f"or delete it and ask for it by its path, which makes it again: snakemake {FEATURES}." in text


def test_the_target_fails_on_a_flipped_byte_and_starts_no_job_that_would_repair_it(folder):
    target = folder / FEATURES
    with flipped(target, 0.5, old_time=False):
        before = sha256_file(target)
        done = snakemake(folder, "verify")
        assert done.returncode != 0
        assert sha256_file(target) == before
    assert f"CHANGED: {FEATURES} was changed" in done.stdout
    assert "BROKEN: some links do not hold. Found: 1 changed" in done.stdout
    assert re.findall(r"^(\w+)\s+(\d+)$", done.stdout, flags=re.M) == [("verify", "1"), ("total", "1")]
    assert json.loads((folder / "results/verify.json").read_text())["state"] == "broken"


def test_the_target_and_the_command_agree_on_a_whole_folder(inside):
    done = snakemake(inside, "verify")
    assert done.returncode == 0, done.stdout
    assert "OK: every link from table to archive holds." in done.stdout
    first = Path("results/verify.json").read_bytes()
    again = command("verify", "--configfile", "config.yaml", cwd=inside)
    assert (again.returncode, again.stderr) == (0, "")
    assert "OK: every link from table to archive holds." in again.stdout
    assert Path("results/verify.json").read_bytes() == first


def test_a_parent_that_is_gone_is_a_broken_link_and_what_was_never_made_is_not(folder):
    for form in ("csv", "md", "tex", "html", "csv.provenance.json"):
        Path(TABLE).with_suffix(f".{form}").unlink()
    content, text = verified()
    assert (content["state"], content["findings"]) == ("unfinished", [])
    assert content["not_made"] == [str(Path(TABLE).with_suffix(f".{form}")) for form in ("csv", "md", "tex", "html")]
    assert "Not made yet: results/papers/micro/tables/main.csv" in text
    Path(FEATURES).unlink()
    content, text = verified()
    assert content["state"] == "broken"
    assert {(f["kind"], f["artifact"], f["role"]) for f in content["findings"]} == {
        ("missing", FEATURES, "features"),
        ("missing", FEATURES, "test"),
    }
    assert f"MISSING: {FEATURES} is gone, which {METRICS} read as test" in text


def test_a_folder_in_which_nothing_was_made_is_unfinished(finished, tmp_path, monkeypatch):
    for name in ("config.yaml", "paper.yaml"):
        shutil.copy(finished / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    content, _ = verified()
    assert (content["state"], content["counts"]["files"]) == ("unfinished", 0)
    assert STATES["unfinished"][0] == 0


def test_a_source_file_that_is_gone_holds_where_its_hash_is_published(folder, monkeypatch):
    archive = Path("data/archives/digits/digits.csv.gz")
    sha256 = sha256_file(archive)
    archive.unlink()
    content, _ = verified()
    assert kinds(content) == {"missing"}
    own = study()
    own.catalog["digits"]["files"][0]["sha256"] = sha256
    assert verified(own)[0]["state"] == "ok"
    own.catalog["digits"]["files"][0]["sha256"] = "0" * 64
    assert kinds(verified(own)[0]) == {"missing"}


def test_other_settings_are_told_from_damage(folder):
    recipes = copy.deepcopy(PAPER["recipes"])
    recipes["plain"]["epochs"] = 2
    write_inputs(folder, paper(recipes=recipes))
    content, text = verified()
    assert (content["state"], kinds(content)) == ("other", {"other_settings"})
    found = {finding["artifact"] for finding in content["findings"]}
    assert MODEL in found
    assert not any("/scores/" in key for key in found)
    assert "MADE UNDER OTHER SETTINGS" in text
    assert any("epochs is 1, expected 2" in finding["says"] for finding in content["findings"])
    assert command("verify", "--configfile", "config.yaml", cwd=folder).returncode == 2


def test_other_code_is_told_from_damage(inside, monkeypatch):
    monkeypatch.setattr(digests, "train_digest", lambda study, run: "0" * 64)
    content, text = verified()
    assert content["state"] == "other"
    assert [(f["kind"], f["artifact"]) for f in content["findings"]] == [("other_code", MODEL)]
    assert f"MADE BY OTHER CODE: 1 files, the first: {MODEL} was made by other code" in text
    assert content["outputs"][TABLE]["state"] == "other"


def test_results_of_another_config_are_compared_byte_by_byte_alone(inside):
    own = load_study({**load_yaml(Path("config.yaml")), "seeds": [7]})
    content, text = verified(own)
    assert content["state"] == "other"  # the table is to show seed 7
    assert not any("/runs/" in finding["artifact"] for finding in content["findings"])
    assert "belong to other configs or papers" in text
    with flipped(Path(MODEL), 0.5, old_time=True):
        content, _ = verified(own)
    assert [f["artifact"] for f in content["findings"] if f["kind"] == "changed"] == [MODEL]


def test_a_reader_of_another_version_is_told_from_a_changed_file(folder):
    path = Path(EVALUATION) / "scores/digits/test.h5"
    with h5py.File(path, "r+") as file:
        file["scores/msp"][0] += 0.25
    hashes.keep_hashes([path], ["data", "results"])  # as if its job had made it so, and nothing after it
    content, text = verified()
    assert {(f["kind"], f["artifact"], f["role"]) for f in content["findings"] if f["kind"] == "stale"} == {
        ("stale", METRICS, "id_scores"),
        ("stale", "results/papers/micro/figures/scores.svg", "plain/digits"),
    }
    assert kinds(content) == {"stale"}
    assert f"STALE: {METRICS} was made from another id_scores than {path}" in text


def test_links_of_the_cache_are_held_against_their_readers_alone(folder):
    model = Path(MODEL)
    shutil.move(model, folder / "cached")
    model.symlink_to(folder / "cached")
    hashes.line_path("results", model.relative_to("results").as_posix()).write_text(_line("0" * 64, model))
    assert verified()[0]["state"] == "ok"
    with flipped(folder / "cached", 0.5, old_time=True):
        assert [f["artifact"] for f in verified()[0]["findings"]] == [MODEL]


def _line(sha256, path):
    line = f"{sha256}  {path.relative_to('results')}\n"
    return f"{line}# {sha256_bytes(line.encode())}\n"


def test_kept_hashes_are_lines_that_sha256sum_reads_and_go_before_a_job_starts(folder):
    lines = [str(path.relative_to("results")) for path in Path("results/hashes").rglob("*.sha256")]
    assert len(lines) > 20
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "-c", "--quiet", *lines], cwd="results", capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    line = hashes.line_path("results", Path(TABLE).relative_to("results").as_posix())
    assert line.is_file()
    hashes.forget_hashes([TABLE], ["data", "results"])
    assert not line.exists()


def test_hashes_are_kept_of_files_in_folders_and_under_the_inner_root(tmp_path):
    (tmp_path / "results/site").mkdir(parents=True)
    (tmp_path / "results/site/index.html").write_text("x")
    (tmp_path / "elsewhere").write_text("y")
    roots = [tmp_path, tmp_path / "results"]
    assert list(hashes.made_files([tmp_path / "results/site"], roots)) == [(tmp_path / "results", "site/index.html")]
    assert list(hashes.made_files([tmp_path / "elsewhere"], roots[1:])) == []
    hashes.keep_hashes([tmp_path / "results/site"], roots)
    assert hashes.read_hashes(tmp_path / "results") == ({"site/index.html": sha256_bytes(b"x")}, {})


def test_the_chain_has_exactly_the_inputs_of_the_workflow(inside):
    """Snakemake's own account of what each file is made from, against records and layout."""
    done = snakemake(inside, "tables", "figures", "--detailed-summary")
    assert done.returncode == 0, done.stdout
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 7]
    inputs = {row[0]: {*row[4].split(",")} - {"-", ""} for row in rows}
    evidence = gather(study())
    assert set(evidence.links) <= set(inputs)
    for key, links in evidence.links.items():
        read = [link for link in links if (place_of(key).kind, link.role) != ("detectors", "model")]  # taken over
        assert {link.keys for link in read} == {(name,) for name in inputs[key]}, key


# Bundle and compare


def test_a_bundle_is_whole_the_same_again_and_checked_elsewhere(folder, tmp_path):
    flaws, counts = check(BUNDLE)
    assert flaws == []
    assert counts["links"] > 30
    members = read_bundle(BUNDLE)
    assert {TABLE, METRICS, "config.json", "papers/paper.yaml", "records.json"} <= set(members)
    assert MODEL.replace("model.safetensors", "history.csv") in members
    assert members["papers/paper.yaml"] == Path("paper.yaml").read_bytes()
    assert b"folder" not in members["config.json"]
    pack(study(), "micro", "again.zip", lambda line: None)
    assert Path("again.zip").read_bytes() == Path(BUNDLE).read_bytes()
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy(BUNDLE, other)
    done = command("check", "bundle.zip", cwd=other)
    assert (done.returncode, done.stderr) == (0, "")
    assert "OK: the bundle is whole." in done.stdout


def test_a_flipped_byte_anywhere_in_a_bundle_is_found(inside, tmp_path):
    content, path = Path(BUNDLE).read_bytes(), tmp_path / "damaged.zip"
    for place in range(0, len(content), max(1, len(content) // 150)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            found, _ = check(path)
        except ReproError as error:
            found = [str(error)]
        assert found, f"byte {place}"


def test_a_bundle_whose_manifest_was_made_to_fit_breaks_its_own_chain(inside, tmp_path):
    members, path = read_bundle(BUNDLE), tmp_path / "forged.zip"
    members[METRICS] = members[METRICS].replace(b"0.", b"0.9", 1)
    manifest = json.loads(members[MANIFEST])
    manifest["members"][METRICS] = {"sha256": sha256_bytes(members[METRICS]), "bytes": len(members[METRICS])}
    path.write_bytes(to_bytes({**members, MANIFEST: json.dumps(manifest).encode()}))
    assert check(path)[0] == [f"{METRICS} is not the file that records.json speaks of"]
    done = command("check", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout


def test_damaged_and_unfinished_results_are_not_packed(folder):
    with flipped(Path(FEATURES), 0.5, old_time=True), pytest.raises(ReproError, match=r"is not packed: .* was changed"):
        pack(study(), "micro", "refused.zip", lambda line: None)
    Path(TABLE).unlink()
    with pytest.raises(ReproError, match=r"is not finished: results/papers/micro/tables/main.csv is not made yet"):
        pack(study(), "micro", "refused.zip", lambda line: None)
    assert not Path("refused.zip").exists()


def test_a_run_equals_its_own_bundle(inside):
    found, made = compare(open_side(BUNDLE), open_side("results"), 0.0)
    assert found == []
    assert re.match(r"\d{3} cells of 4 files compared", made[0])  # main, outliers, metrics, dilation; costs never
    assert [line.split(" of ")[0] for line in made[1:]] == ["settings differ in 0", "code differs in 0"]


def test_a_published_folder_is_small_checked_and_compared(folder, tmp_path):
    target, page = tmp_path / "docs/micro", tmp_path / "docs/page.md"
    page.parent.mkdir()
    page.write_text("Before.\n\n<!-- from micro/tables/main.md -->\nold\n<!-- end -->\nAfter.\n")
    done = command("publish", BUNDLE, target, "--pages", page, cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = Path(TABLE).with_suffix(".md").read_text().rstrip("\n")
    quotation = f"<!-- from micro/tables/main.md -->\n{shown}\n<!-- end -->"
    assert page.read_text() == f"Before.\n\n{quotation}\nAfter.\n"
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    run = "runs/digits/plain/corrected/seed0"
    assert {"tables/main.csv", "tables/main.md", "figures/scores.svg", f"{run}/history.csv"} <= names
    assert {"manifest.json", "records.json.gz", "config.json", "papers/paper.yaml", "environment.csv"} <= names
    assert not any(
        name.endswith((".pdf", ".tex", ".html", "metrics.csv", ".safetensors", ".provenance.json")) for name in names
    )
    done = command("check", target, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for other in (BUNDLE, "results"):
        found, made = compare(open_side(target), open_side(other), 0.0)
        assert found == []
        assert made[0].startswith(tuple("123456789"))
    check_damage(target)
    (target / "tables/gone.md").write_text("of an older run")
    manifest = json.loads((target / MANIFEST).read_text())
    manifest["members"]["results/papers/micro/tables/gone.md"] = {"sha256": "0" * 64, "bytes": 1}
    (target / MANIFEST).write_text(json.dumps(manifest))
    (target / "index.md").write_text("a page")
    assert command("publish", BUNDLE, target, cwd=folder).returncode == 0
    left = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert left == names | {"index.md"}


def check_damage(target):
    """A changed and a missing file of a published folder are found."""
    table = target / "tables/main.csv"
    content = table.read_bytes()
    with flipped(table, 0.5, old_time=True):
        assert any("was changed" in flaw for flaw in check(target)[0])
    table.unlink()
    assert check(target)[0][0].endswith("tables/main.csv is listed and not in it")
    table.write_bytes(content)
    assert check(target)[0] == []


def test_a_broken_bundle_is_not_published_and_a_quoted_file_must_exist(inside, tmp_path):
    broken, page = tmp_path / "broken.zip", tmp_path / "page.md"
    content = Path(BUNDLE).read_bytes()
    members = read_bundle(BUNDLE)
    broken.write_bytes(to_bytes({**members, TABLE: members[TABLE] + b"1"}))
    done = command("publish", broken, tmp_path / "small", cwd=tmp_path)
    assert done.returncode == 3
    assert "is broken: " in done.stderr
    assert not (tmp_path / "small").exists()
    page.write_text("<!-- from none.md -->\n<!-- end -->\n")
    done = command("publish", Path(BUNDLE).resolve(), tmp_path / "small", "--pages", page, cwd=tmp_path)
    assert done.returncode == 3
    assert "quotes none.md, which does not exist" in done.stderr
    assert Path(BUNDLE).read_bytes() == content


def test_invented_differences_are_found_cell_by_cell(folder):
    path = Path(TABLE)
    head, first, second, third = path.read_text().splitlines()
    columns = head.split(",")
    place = columns.index("set:uniform_noise:auroc:mean")
    cells = first.split(",")
    value = float(cells[place])
    cells[place] = repr(value - 0.25)
    path.write_text("\n".join([head, ",".join(cells), second]) + "\n")  # the row of odin is left out
    assert third.startswith("Plain,odin")
    found, _ = compare(open_side(BUNDLE), open_side("results"), 0.1)
    assert found == [
        f"{TABLE}: the row Plain / odin is only in the first",
        f"{TABLE}: Plain / msp, set:uniform_noise:auroc:mean: {value!r} against {value - 0.25!r}, difference 0.25",
    ]
    assert len(compare(open_side(BUNDLE), open_side("results"), 0.3)[0]) == 1
    cut = [",".join(part for i, part in enumerate(line.split(",")) if i != place) for line in (head, first, second)]
    path.write_text("\n".join([*cut, third.rsplit(",", 1)[0]]) + "\n")
    found, _ = compare(open_side(BUNDLE), open_side("results"), 0.1)
    assert f"{TABLE}: the column set:uniform_noise:auroc:mean is only in the first" in found
    path.unlink()
    done = command("compare", folder / BUNDLE, folder / "results", cwd=ROOT)
    assert done.returncode == 1
    assert f"{TABLE} is only in {folder / BUNDLE}" in done.stdout
    assert "DIFFERENT" in done.stdout


def test_a_comparison_says_whether_settings_or_code_differ(folder):
    members = read_bundle(BUNDLE)
    records = json.loads(members["records.json"])
    records[MODEL]["record"]["settings"]["epochs"] = 3
    records[METRICS]["record"]["source_digest"] = "0" * 64
    Path("other.zip").write_bytes(to_bytes({**members, "records.json": json.dumps(records).encode()}))
    found, made = compare(open_side("other.zip"), open_side("results"), 0.0)
    assert found == []
    assert made[1].endswith(f"records, such as {MODEL}: epochs is 3 against 1")
    assert made[2].endswith(f"records, such as {METRICS}")


def test_what_is_no_bundle_and_no_results_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ReproError, match="holds no results"):
        open_side(tmp_path / "empty")
    with pytest.raises(ReproError, match="cannot be read as a bundle"):
        open_side(tmp_path / "text.zip")
    assert command("check", tmp_path / "nothing.zip", cwd=tmp_path).returncode == 3
