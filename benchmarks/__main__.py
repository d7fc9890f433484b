"""Run benchmarks by name: `python -m benchmarks scores --threads 1`, or without a name those that are quick.

`python -m benchmarks list` names them all, with the first line of what each says about itself.
"""

import ast
import subprocess
import sys
from pathlib import Path

from methods.settings.schema import nearest

FOLDER = Path(__file__).parent
# What together takes two minutes on two cores, with arguments that make it so
QUICK = {
    "dilation": [],
    "tail": [],
    "multilabel": [],
    "image_store": ["--images", "200"],
    "scores": ["--train", "10000", "--test", "2000"],
}
_SHARED = {"__main__", "common", "workloads"}


def names() -> list[str]:
    """All that can be run."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in _SHARED)


def title(name: str) -> str:
    """First line of a benchmark's docstring, which is read and not imported."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def main(arguments: list[str]) -> int:
    """Run what is asked for; returns an exit code."""
    if not arguments:
        codes = [_run(name, *QUICK[name]) for name in QUICK]
        print("\nThose were the quick ones: `make bench NAME=list` names all.")
        return max(codes)
    name, *rest = arguments
    if name == "list":
        _list()
        return 0
    if name not in names():
        print(f"there is no benchmark {name!r}: {nearest(name, [*names(), 'list'])}", file=sys.stderr)
        return 2
    return _run(name, *rest)


def _list() -> None:
    width = max(map(len, names()))
    for name in names():
        print(f"{name:{width}}  {title(name)}{' (quick)' if name in QUICK else ''}")


def _run(name: str, *arguments: str) -> int:
    print(f"\n{name}: {title(name)}", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
