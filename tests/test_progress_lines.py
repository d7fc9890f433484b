"""Lines of a run: why jobs run, how long the rest takes, what is said of failures and long silences."""

import io
import logging

import pytest

from workflow_scripts.lines import display, remaining
from workflow_scripts.lines.display import Display
from workflow_scripts.lines.remaining import BENCHMARKS, Timed, read_durations, readable, write_durations
from workflow_scripts.lines.why import why

PARAMS = "Params have changed since last execution: Union of exclusive params before and now across all output: "
OLD, NEW = "0" * 64, "1" * 64


def changed(before, now):
    """Snakemake's words for params that were and are, each param as Python writes it."""
    told = [",".join(map(repr, part)) or "<nothing exclusive>" for part in (before, now)]
    return f"{PARAMS}before: {told[0]} now: {told[1]} "


def test_a_changed_value_is_told_by_its_key():
    before, now = '{"epochs":1,"optimiser":{"name":"sgd"}}', '{"epochs":20,"optimiser":{"name":"adam"}}'
    assert why(changed([before], [now]), True) == 'settings: epochs 1 -> 20, optimiser.name "sgd" -> "adam"'


def test_a_key_that_came_or_went_is_told():
    assert why(changed(['{"a":1,"b":2}'], ['{"b":2,"c":[3]}']), True) == "settings: without a, c [3], new"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ('["a","c"]', '["a","b","c"]', 'sets "b", new'),
        ('["a","b","c"]', '["b"]', 'without sets "a", without sets "c"'),
        ('[["m",0]]', '[["m",0],["m",1]]', 'sets ["m", 1], new'),
        ("[1,1]", "[2,2]", "sets [1, 1] -> [2, 2]"),
        ("[1]", "[1,1]", "sets [1] -> [1, 1]"),
        ('["a","b"]', '["b","a"]', 'sets ["a", "b"] -> ["b", "a"]'),
        ('[{"k":1}]', '[{"k":2}]', "sets.0.k 1 -> 2"),
    ],
)
def test_what_came_into_a_list_or_went_is_told_not_how_the_rest_moved(before, now, words):
    assert why(changed([f'{{"sets":{before}}}'], [f'{{"sets":{now}}}']), True) == f"settings: {words}"


def test_of_many_changed_keys_the_first_are_named_and_the_rest_counted():
    before, now = (f'{{"a":{n},"b":{n},"c":{n},"d":{n},"e":{n}}}' for n in (1, 2))
    assert why(changed([before], [now]), True) == "settings: a 1 -> 2, b 1 -> 2, c 1 -> 2 and 2 more"


def test_each_document_is_compared_with_the_one_most_like_it():
    before = ['{"k":1,"name":"knn","rule":"closest"}', '{"title":"A"}']
    now = ['{"title":"B"}', '{"k":2,"name":"knn","rule":"closest"}']
    assert sorted(why(changed(before, now), True).split("; ")) == ["settings: k 1 -> 2", 'settings: title "A" -> "B"']


def test_changed_code_is_told_by_its_module():
    closures = {OLD: {"methods.a": "x", "methods.b": "y"}, NEW: {"methods.a": "x", "methods.b": "z", "methods.c": "w"}}
    assert why(changed([OLD], [NEW]), True, closures) == "changed code: methods.b, methods.c"
    assert why(changed([OLD], [NEW]), True) == "the code behind it was changed"


def test_another_training_is_no_number_to_read():
    texts = [f'{{"training":"{digest}"}}' for digest in (OLD, NEW)]
    assert why(changed(texts[:1], texts[1:]), True) == "settings: another training"


@pytest.mark.parametrize(
    ("reason", "made", "words"),
    [
        ("Missing output files: r/a.csv, r/b.csv; Input files updated by another job: x", False, "not made yet"),
        ("Missing output files: results/a.csv", True, "missing: results/a.csv"),
        ("Updated input files: /far/away/data/a.h5", True, "newer than its output: data/a.h5"),
        (
            "Input files updated by another job: 1/m, 2/m, 3/m, 4/m, 5/m",
            True,
            "made anew before it: 1/m, 2/m, 3/m and 2 more",
        ),
        ("Code has changed since last execution", True, "its script in workflow_scripts/ was edited"),
        ("Forced execution", True, "asked for"),
        ("", True, "a file that needs it is to be made"),
        ("Something of a later Snakemake", True, "Something of a later Snakemake"),
    ],
)
def test_every_reason_has_plain_words(reason, made, words):
    assert why(reason, made) == words


def test_the_rest_of_a_run_comes_from_jobs_that_ended():
    timed = Timed(totals={"score": 5}, cores=2)
    timed.seconds["score", "a"] = [10.0, 14.0]
    timed.running = {7: ("score", 100.0)}
    # two wait for 12 s each, one is at work since 4 s, two cores
    assert timed.left(104.0) == ((2 * 12 + 8) / 2, True)


def test_stages_follow_one_another_however_many_cores_there_are():
    timed = Timed(totals={"train": 1, "score": 1}, cores=64, recorded={"train": {"": 100.0}, "score": {"": 5.0}})
    assert timed.left(0.0) == (105.0, True)


def test_gpus_are_a_bottleneck_of_their_own():
    timed = Timed(totals={"train": 4}, cores=64, gpus=2, recorded={"train": {"": 100.0}}, slots={"train": (1, 1)})
    assert timed.left(0.0) == (200.0, True)


def test_a_rule_that_nobody_timed_makes_a_lower_bound():
    timed = Timed(totals={"train": 2, "score": 2}, cores=1)
    assert timed.left(0.0) == (0.0, False)
    timed.seconds["score", "a"] = [3.0]
    assert timed.left(0.0) == (3.0, False)


def test_durations_of_other_benchmarks_are_not_taken(monkeypatch):
    timed = Timed(totals={"train": 1}, recorded={"train": {"small": 3.0}})
    monkeypatch.setenv(BENCHMARKS, "small large")
    assert timed.left(0.0) == (0.0, False)
    monkeypatch.setenv(BENCHMARKS, "small")
    assert timed.left(0.0) == (3.0, True)


def test_durations_are_kept_for_the_next_run_and_a_damaged_file_is_nothing(tmp_path):
    path = tmp_path / "durations.json"
    write_durations({("train", "a"): [2.0, 4.0]}, path)
    write_durations({("train", "b"): [5.0], ("score", "a"): [1.0]}, path)
    assert read_durations(path) == {"train": {"a": 3.0, "b": 5.0}, "score": {"a": 1.0}}
    path.write_text("{", encoding="utf-8")
    assert read_durations(path) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.9, "1 min"),
        (310, "5 min 10 s"),
        (7380, "2 h 3 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_are_readable(seconds, text):
    assert readable(seconds) == text


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """A display of a real run in a folder of its own, with what it has written."""
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OOD_REPRO_NO_BARS", "1")
    made = Display(io.StringIO())
    yield made
    made.closed.set()


def event(name, level=logging.INFO, msg="", **values):
    return logging.makeLogRecord({"event": name, "levelno": level, "msg": msg, **values})


def job(number, rule="score", log=(), message="score a/test"):
    resources = {"gpu": 1, "_cores": 1}
    files = {"output": [f"{number}.h5"], "log": list(log), "input": []}
    named = {"jobid": number, "rule_name": rule, "rule_msg": message, "wildcards": {"benchmark": "a"}}
    return event("job_info", **named, **files, resources=resources, threads=1, reason="")


def test_one_line_a_job_with_its_time_and_what_is_left(shown, monkeypatch):
    clock = iter([10.0 * step for step in range(100)])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    shown.take(event("resources_info", cores=1))
    shown.take(event("run_info", stats={"score": 2, "total": 2}))
    shown.take(job(1))
    shown.take(event("job_finished", job_id=1))
    lines = shown.stream.getvalue().splitlines()
    assert lines[0] == "2 jobs to run, 1 at a time at most"
    assert lines[1].startswith("[1/2] ")
    assert ": 10 s, about 10 s left" in lines[1]
    assert "score a/test" in lines[1]


def test_a_dry_run_on_a_cluster_counts_its_submissions():
    made = Display(io.StringIO(), dry=True)
    made.take(event("run_info", stats={"score": 2, "train": 1, "total": 3}))
    made.take(job(1, rule="train"))
    made.take(event("group_info", group_id="scores", jobs=[]))
    for number in (2, 3):
        record = job(number)
        record.indent = True
        made.take(record)
    made.close()
    assert "3 jobs would run in 2 submissions: 2 score, 1 train\n" in made.stream.getvalue()


def test_a_failed_job_is_told_with_its_log_and_what_to_do(shown, tmp_path):
    (tmp_path / "job.log").write_text("one\ntwo\n", encoding="utf-8")
    shown.take(event("run_info", stats={"score": 3, "total": 3}))
    shown.take(job(1, log=["job.log"]))
    failed = {"jobid": 1, "rule_name": "score", "log": ["job.log"], "output": []}
    shown.take(event("job_error", logging.ERROR, **failed))
    shown.take(event("job_error", logging.ERROR, **failed))  # Snakemake tells it again at the end
    shown.close()
    text = shown.stream.getvalue()
    assert text.count("FAILED after") == 1
    assert "  | two\n  it ended without a word: killed" in text
    assert "0 of 3 jobs done" in text
    assert "1 failed, 2 not run:\n  failed: score a/test\n    rule score, log job.log\n    | one\n    | two\n" in text
    assert "run the same command again" in text


def test_what_a_job_has_said_itself_is_not_said_twice(shown, tmp_path):
    (tmp_path / "job.log").write_text("2026-01-01 00:00:00 ERROR no such thing\n", encoding="utf-8")
    shown.take(event("run_info", stats={"score": 1, "total": 1}))
    shown.take(job(1, log=["job.log"]))
    shown.take(event("job_error", logging.ERROR, jobid=1, rule_name="score", log=["job.log"], output=[]))
    assert "no such thing" not in shown.stream.getvalue()
    assert "ended without a word" not in shown.stream.getvalue()


def test_a_job_that_is_tried_again_and_succeeds_is_no_failure(shown):
    shown.take(event("run_info", stats={"score": 1, "total": 1}))
    shown.take(job(1))
    shown.take(event("job_error", logging.ERROR, jobid=1, rule_name="score", log=[], output=[]))
    shown.take(job(1))
    shown.take(event("job_finished", job_id=1))
    shown.close()
    assert "all 1 jobs done" in shown.stream.getvalue()


def test_a_run_that_was_stopped_tells_how_to_go_on(shown):
    shown.take(event("run_info", stats={"score": 2, "total": 2}))
    shown.take(job(1))
    shown.take(event("job_finished", job_id=1))
    shown.take(job(2))
    shown.close()
    assert "with 1 of 2 jobs done: the same command goes on" in shown.stream.getvalue()


def test_a_long_silence_ends_with_what_is_at_work_and_the_last_line_of_its_log(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(display, "_FIRST_SILENCE", 0.0)
    (tmp_path / "job.log").write_text("2026-01-01 00:00:00 INFO epoch 3/9 remaining 60 s\n", encoding="utf-8")
    shown.take(event("run_info", stats={"train": 1, "total": 1}))
    shown.take(job(1, "train", ["job.log"], "train plain"))
    assert shown._at_work() == "train plain (0.0 s; epoch 3/9 remaining 60 s)"


def test_chatter_is_left_out_and_the_rest_is_not(shown):
    shown.take(event(None, msg="Building DAG of jobs..."))
    shown.take(event(None, logging.WARNING, "Workflow defines that rule train is eligible for caching"))
    shown.take(event(None, msg="Nothing to be done."))
    shown.take(event("error", logging.ERROR, "MissingInputException in rule x"))
    assert shown.stream.getvalue() == "Nothing to be done.\nMissingInputException in rule x\n"


def test_a_bar_on_a_terminal_is_cleared_before_a_line(shown):
    shown.stream.isatty = lambda: True
    shown.take(event(None, msg="Nothing to be done."))
    assert shown.stream.getvalue() == "\r\x1b[2KNothing to be done.\n"


def test_jobs_draw_no_bars_where_several_share_the_terminal(shown, monkeypatch):
    monkeypatch.delenv("OOD_REPRO_NO_BARS")
    shown.take(event("resources_info", cores=1))
    assert "OOD_REPRO_NO_BARS" not in display.os.environ
    shown.take(event("resources_info", cores=2))
    assert display.os.environ["OOD_REPRO_NO_BARS"] == "1"


def test_gpus_are_read_from_what_snakemake_provides(shown):
    shown.take(event("resources_info", provided_resources={"_cores": 2, "gpu": 4}))
    assert shown.timed.gpus == 4


def test_the_durations_of_a_run_serve_the_next(shown):
    shown.take(event("run_info", stats={"score": 1, "total": 1}))
    shown.take(job(1))
    shown.take(event("job_finished", job_id=1))
    shown.close()
    assert read_durations(remaining.DURATIONS)["score"].keys() == {"a"}
