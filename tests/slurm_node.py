"""A real Slurm of one node, on loopback, in a folder of its own: started, looked at and stopped again.

munged, slurmctld and slurmd are the machine's programs; with accounting also slurmdbd and a MariaDB of our own. Only
/etc/slurm has to be shared with the machine, for the executor plugin takes SLURM_CONF out of the environment of its
jobs: files there carry a first line that says whose they are, and nothing else is ever overwritten or removed.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SETTINGS = Path("/etc/slurm")
MARK = "# of a Slurm that ood-repro started for a test; its next start or stop removes this file\n"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr")
CLUSTER = "oodrepro"
_PATIENCE = 60  # seconds until a daemon must answer


def what_is_missing(accounting: bool = False) -> str | None:
    """Why no Slurm can be started here, in one sentence; None if it can."""
    if os.geteuid() != 0:
        return "slurmd can only be started by root"
    absent = [name for name in (*PROGRAMS, *(ACCOUNTING if accounting else ())) if shutil.which(name) is None]
    if absent:
        packages = "slurm-wlm munge" + (" slurmdbd mariadb-server" if accounting else "")
        return f"{', '.join(absent)} not installed (Debian and Ubuntu: apt install {packages})"
    foreign = [path for path in _settings_files() if path.exists() and not _is_ours(path)]
    if foreign:
        return f"{foreign[0]} belongs to this machine's own Slurm, which is left alone"
    return None


class SlurmNode:
    """``with SlurmNode() as slurm:`` a cluster with CPUs, memory and GPUs that are only counted.

    cpus, memory_mb, gpus: what the node claims to have; nothing is checked against the machine.
    accounting: also slurmdbd, so that ``sacct`` answers.

    Raises:
        RuntimeError: this machine cannot have one, or a daemon does not answer.
    """

    def __init__(self, cpus: int = 4, memory_mb: int = 64000, gpus: int = 2, accounting: bool = False) -> None:
        reason = what_is_missing(accounting)
        if reason:
            raise RuntimeError(f"no Slurm can be started: {reason}")
        self.accounting = accounting
        self.folder = Path(tempfile.mkdtemp(prefix="ood-repro-slurm-"))
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._claims = (cpus, memory_mb, gpus)
        self._ports = _free_ports(4)
        self._password = secrets.token_hex(16)

    def __enter__(self) -> "SlurmNode":
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_all(self) -> None:
        self.folder.chmod(0o755)  # munged has a user of its own
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir()
        self._start_munged()
        self._write_settings()
        if self.accounting:
            self._start_database()
            self._start("slurmdbd", ["slurmdbd", "-D"])
            self._wait_for("slurmdbd", lambda: self._answers("sacctmgr", "-n", "show", "cluster"))
            self.run("sacctmgr", "-i", "add", "cluster", CLUSTER)
        self.start_controller()
        self._start("slurmd", ["slurmd", "-D", "-N", _host()])
        self._wait_for("slurmd", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"))

    def start_controller(self) -> None:
        self._start("slurmctld", ["slurmctld", "-D"])
        self._wait_for("slurmctld", lambda: self._answers("scontrol", "ping"))

    def stop_controller(self) -> None:
        """As an administrator stops it: its state is saved."""
        self._end("slurmctld")

    def run(self, *command: str) -> str:
        """What a Slurm program prints."""
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job the controller still knows, finished ones among them, oldest first."""
        names = ("JobId", "JobState", "Comment", "TRES", "TimeLimit", "ExitCode", "TresPerJob", "Partition")
        lines = self.run("scontrol", "--oneliner", "show", "job").splitlines()
        fields = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        found = [{name: field.get(name, "") for name in names} for field in fields if "JobId" in field]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def stop(self) -> None:
        """End jobs and daemons, remove what was written; nothing happens where that is done."""
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "--user", "root"], capture_output=True, check=False, timeout=_PATIENCE)
        for name in ("slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged"):
            self._end(name)
        for path in _settings_files():
            if path.exists() and _is_ours(path):
                path.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_munged(self) -> None:
        """With a key of its own: the machine's is not touched."""
        folder, owner = self.folder / "munge", pwd.getpwnam("munge")
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o400)
        for path in (folder, folder / "key"):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        files = {"key": "key", "socket": "socket", "pid": "pid", "log": "log", "seed": "seed"}
        options = [f"--{name}-file={folder / file}" for name, file in files.items() if name != "socket"]
        command = ["munged", "--foreground", f"--socket={self._munge_socket}", *options]
        self._start("munged", command, user="munge", group="munge")
        self._wait_for("munged", self._munge_socket.exists)

    @property
    def _munge_socket(self) -> Path:
        return self.folder / "munge" / "socket"

    def _start_database(self) -> None:
        data, port = self.folder / "database", str(self._ports[3])
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root"]
        install += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True, timeout=_PATIENCE)
        here = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={self.folder / 'database.socket'}"]
        self._start("mariadbd", ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", *here])
        ask = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "-e", "SELECT 1"]
        self._wait_for("mariadbd", lambda: self._answers(*ask))
        grant = f"CREATE USER slurm IDENTIFIED BY '{self._password}'; GRANT ALL ON slurm_accounting.* TO slurm"
        self.run(*ask[:-1], grant)

    def _write_settings(self) -> None:
        SETTINGS.mkdir(exist_ok=True)
        cpus, memory, gpus = self._claims
        storage = [f"AccountingStorageType=accounting_storage/{'slurmdbd' if self.accounting else 'none'}"]
        if self.accounting:
            storage += ["AccountingStorageHost=127.0.0.1", f"AccountingStoragePort={self._ports[2]}"]
            storage += [f"AccountingStoragePass={self._munge_socket}"]  # so the key is called; it names the socket
            storage += ["AccountingStorageTRES=gres/gpu", "JobAcctGatherType=jobacct_gather/linux"]
            storage += ["AccountingStoreFlags=job_comment"]
        node = f"NodeName={_host()} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN"
        lines = [
            f"ClusterName={CLUSTER}",
            f"SlurmctldHost={_host()}(127.0.0.1)",
            *[f"{part}User=root" for part in ("Slurm", "Slurmd")],
            f"AuthInfo=socket={self._munge_socket}",
            f"SlurmctldPort={self._ports[0]}",
            f"SlurmdPort={self._ports[1]}",
            f"StateSaveLocation={self.folder / 'state'}",
            f"SlurmdSpoolDir={self.folder / 'spool'}",
            *[f"{part}PidFile={self.folder / part}.pid" for part in ("Slurmctld", "Slurmd")],
            "MpiDefault=none",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_CPU_Memory",
            "SlurmdParameters=config_overrides",  # more CPUs and memory than the machine has
            "SchedulerParameters=batch_sched_delay=0,sched_min_interval=0",
            "ReturnToService=2",
            "KillWait=5",
            "MinJobAge=86400",  # finished jobs stay in squeue
            "GresTypes=gpu",
            *storage,
            node,
            "PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
            "PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP",
        ]
        devices = [f"Name=gpu File=/dev/{name}" for name in ("null", "zero", "full", "random")[:gpus]]
        _write("slurm.conf", lines)
        _write("gres.conf", devices)
        if self.accounting:
            _write("slurmdbd.conf", self._database_lines())
            (SETTINGS / "slurmdbd.conf").chmod(0o600)

    def _database_lines(self) -> list[str]:
        return [
            "DbdHost=localhost",
            "DbdAddr=127.0.0.1",
            f"DbdPort={self._ports[2]}",
            "SlurmUser=root",
            f"AuthInfo=socket={self._munge_socket}",
            f"PidFile={self.folder / 'slurmdbd.pid'}",
            "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1",
            f"StoragePort={self._ports[3]}",
            "StorageUser=slurm",
            f"StoragePass={self._password}",
            "StorageLoc=slurm_accounting",
        ]

    def _start(self, name: str, command: Sequence[str], user: str | None = None, group: str | None = None) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                command, stdout=log, stderr=log, user=user, group=group, start_new_session=True
            )

    def _end(self, name: str) -> None:
        process = self._daemons.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)

    def _wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        deadline, process = time.monotonic() + _PATIENCE, self._daemons[name]
        while not ready():
            if time.monotonic() > deadline or process.poll() is not None:
                last = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} does not answer (exit code {process.poll()}); the end of its log:\n{last}")
            time.sleep(0.2)

    def _answers(self, *command: str) -> bool:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        return done.returncode == 0 and "DOWN" not in done.stdout


def _host() -> str:
    return socket.gethostname().split(".")[0]


def _settings_files() -> list[Path]:
    return [SETTINGS / name for name in ("slurm.conf", "gres.conf", "slurmdbd.conf")]


def _is_ours(path: Path) -> bool:
    return path.read_text(errors="replace").startswith(MARK)


def _write(name: str, lines: list[str]) -> None:
    (SETTINGS / name).write_text(MARK + "\n".join(lines) + "\n")


def _free_ports(count: int) -> list[int]:
    """Ports of which all are free at once."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
