"""Loaded by every Python that has this folder on PYTHONPATH: kills jobs at the points that a plan lists.

The plan is a JSON list in the file that OOD_REPRO_KILL_PLAN names; each item is [rule, point, count, victim]. The first
item is taken from the list at the moment it strikes. Points, the count-th time the job passes them (from 1):

    start   before the job's script is read
    torn    a file is written, but not yet safe on the disk: half of it is cut off
    before  a whole file waits under its temporary name
    after   a file has just got its final name
    end     the interpreter shuts down, all is written

Victims: `job` is this process, `snakemake` the one that started it (this process goes on until it notices), `group`
both and all others of their process group.
"""

import atexit
import json
import os
import re
import signal

PLAN = os.environ.get("OOD_REPRO_KILL_PLAN")
passed = dict.fromkeys(("start", "torn", "before", "after", "end"), 0)


def rule_of_this_process():
    import sys

    found = re.search(r"/\.snakemake/scripts/[^/]*?\.(\w+)\.py$", sys.orig_argv[-1])
    return found and found[1]


def strike(rule, point):
    passed[point] += 1
    with open(PLAN) as handle:
        plan = json.load(handle)
    if not plan or plan[0][:3] != [rule, point, passed[point]]:
        return None
    with open(f"{PLAN}.new", "w") as handle:
        json.dump(plan[1:], handle)
    rename(f"{PLAN}.new", PLAN)
    return plan[0][3]


def kill(victim):
    if victim == "group":
        os.killpg(0, signal.SIGKILL)
    elif victim == "snakemake":
        os.kill(int(os.environ["OOD_REPRO_OWNER"].split(":")[0]), signal.SIGKILL)
    elif victim == "job":
        os.kill(os.getpid(), signal.SIGKILL)


def replace(source, target, **more):
    kill(strike(RULE, "before"))
    rename(source, target, **more)
    kill(strike(RULE, "after"))


def fsync(handle):
    if victim := strike(RULE, "torn"):
        path = os.readlink(f"/proc/self/fd/{handle if isinstance(handle, int) else handle.fileno()}")
        os.truncate(path, os.path.getsize(path) // 2)
        kill(victim)
    flush(handle)


rename, flush = os.replace, os.fsync
RULE = PLAN and rule_of_this_process()
if RULE:
    kill(strike(RULE, "start"))
    os.replace, os.fsync = replace, fsync
    atexit.register(lambda: kill(strike(RULE, "end")))
