"""The picture of the rules that the demo runs: `python docs/rule_graph.py docs/pictures/rules.svg`.

Snakemake says which rule needs which; Graphviz (Debian: apt-get install graphviz) leaves out what follows from the
rest, and draws. Colours tell the file in rules/ that a rule stands in.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {
    "inputs": "#e8edf2",
    "data": "#e8edf2",
    "train": "#f6dfc5",
    "features": "#dcead2",
    "scores": "#d5e4f3",
    "results": "#e9dcf0",
}
_LOOK = """
  graph [rankdir=LR, ranksep=0.22, nodesep=0.16, margin=0.1, bgcolor=white];
  node [shape=box, style="rounded,filled", penwidth=0.8, color="#5b6770"];
  node [fontname="Helvetica", fontsize=11, height=0.32, margin="0.11,0.04"];
  edge [color="#8a949c", arrowsize=0.6, penwidth=0.9];
"""


def edges(target: str) -> set[tuple[str, str]]:
    """(rule, rule that needs it) for all rules behind a paper.

    Raises:
        RuntimeError: Snakemake refuses the target.
    """
    command = [sys.executable, "-m", "snakemake", target, "--rulegraph", "dot", "--cores", "1", "--nolock"]
    command += ["--config", f"papers=[{target}]"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Snakemake does not tell the rules behind {target}:\n{done.stderr}")
    text = done.stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', text))
    return {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", text)}


def rooms() -> dict[str, str]:
    """Name of every rule -> the file of rules/ it stands in, without its suffix."""
    files = sorted((ROOT / "rules").glob("*.smk"))
    return {name: path.stem for path in files for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}


def graph(pairs: set[tuple[str, str]]) -> str:
    """The rules in the language of Graphviz."""
    room = rooms()
    names = sorted({name for pair in pairs for name in pair})
    nodes = [f'  {name} [label="{name}", fillcolor="{COLOURS.get(room.get(name, ""), "#ffffff")}"];' for name in names]
    arrows = [f"  {a} -> {b};" for a, b in sorted(pairs)]
    return "\n".join(["digraph rules {", _LOOK, *nodes, *arrows, "}"])


def main(target: Path) -> None:
    """Draw the rules of the demo as SVG."""
    if not shutil.which("dot"):
        print("Graphviz is not installed: the picture of the rules stays as it is (Debian: apt-get install graphviz).")
        return
    reduced = subprocess.run(["tred"], input=graph(edges("demo")), capture_output=True, text=True, check=True).stdout
    drawn = subprocess.run(["dot", "-Tsvg"], input=reduced, capture_output=True, text=True, check=True).stdout
    target.write_text(re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
