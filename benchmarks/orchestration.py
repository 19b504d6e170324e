"""What a run costs beside the work of its components: in full, again with nothing changed, and with another threshold.

    python -m benchmarks.orchestration [--photos 600] [--set part.key=value ...]

Each is `m3net run` of the quick configuration on the drawn sample, in a process of its own, into one folder. Wall is from the
start of the process to its end; inside is what the components worked; start is the process and all imports, by themselves:
a part of what is outside. Asked: of the first run at most 15 % of the wall outside; the unchanged one within 45 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from pipeline.config import Config

_OUTSIDE, _CACHED_SEC = 0.15, 45.0
_THRESHOLD = "evaluation.max_drop=0.03"  # the quick configuration's is the default, 0.02


def timed(catalogue: Path, output: Path, settings: list[str]) -> dict[str, Any]:
    """One run: `wall` and `start` in seconds, `inside` by component."""
    options = [word for one in settings for word in ("--set", one)]
    command = ["run", "--catalogue", str(catalogue), "--output", str(output), *options]
    started = time.time()
    own = [sys.executable, "-m", "benchmarks.orchestration", "--one", str(started), json.dumps(command)]
    done = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True)
    return {"wall": time.time() - started, **json.loads(done.stdout.splitlines()[-1])}


def one(started: float, command: list[str]) -> None:
    """What `timed` starts: the imports first, so that they can be told apart, then the command. Prints what it measures."""
    from pipeline.progress import quiet

    quiet()
    import pipeline.create
    import pipeline.recorded  # noqa: F401
    from pipeline import cli, local

    start, ran, real = time.time() - started, [], local.run

    def run(config: Config, output: Path, first: str = "", last: str = "") -> local.Outcome:
        ran.append(real(config, output, first, last))
        return ran[-1]

    local.run = run
    code = cli.main(command)
    if not ran:
        sys.exit(code)
    print(json.dumps({"start": start, "inside": ran[0].seconds}))


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row a run. Args: found: of `timed`, by what the run is called."""
    rows = []
    for name, run in found.items():
        inside = sum(run["inside"].values())
        share = (run["wall"] - inside) / run["wall"]
        cells = (f"{run['wall']:.1f}", f"{inside:.1f}", f"{100 * share:.1f} %", f"{run['start']:.1f}")
        rows.append([name, *cells, ", ".join(run["inside"]) or "none"])
    heads = ["run", "wall s", "inside s", "outside", "start s", "components that ran"]
    return tabulate(rows, heads, disable_numparse=True, colalign=("left", *["right"] * 4, "left"))


def judged(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was asked, and whether it is so."""
    first, again = found["first"], found["unchanged"]["wall"]
    share = 1 - sum(first["inside"].values()) / first["wall"]
    return [
        f"outside the components {100 * share:.1f} % of the first run's wall; asked: at most {100 * _OUTSIDE:.0f} %: "
        f"{'yes' if share <= _OUTSIDE else 'NO'}",
        f"unchanged {again:.1f} s; asked: below {_CACHED_SEC:.0f} s: {'yes' if again < _CACHED_SEC else 'NO'}",
    ]


def main() -> None:
    """Prints the table, and what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], metavar="PART.KEY=VALUE")
    parser.add_argument("--one", nargs=2, metavar=("STARTED", "COMMAND"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(float(given.one[0]), json.loads(given.one[1]))
        return
    from pipeline.sample.catalogue import draw_sample

    with tempfile.TemporaryDirectory() as made:
        catalogue, output = draw_sample(Path(made) / "photos", given.photos, 0), Path(made) / "run"
        runs = {"first": given.set, "unchanged": given.set, "one threshold": [*given.set, _THRESHOLD]}
        print(f"{given.photos} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n", flush=True)
        found = {name: timed(catalogue, output, settings) for name, settings in runs.items()}
    print(f"{table(found)}\n", *judged(found), sep="\n")


if __name__ == "__main__":
    main()
