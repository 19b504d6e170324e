"""The embedded server under steady load for minutes, with a new release every so often: memory, files and threads.

    python -m benchmarks.soak [--minutes 20] [--rate 40] [--swap-seconds 60] [--backbone small] [--size 96]

`--rate` requests a second at random (Poisson): embed, search and classify in turns, one in fifty with a broken photo, one
in fifty abandoned. A line is printed every tenth of the time; the last says how much each number grew since the first
tenth, in which everything was touched once.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from tabulate import tabulate

from benchmarks.serving import TAXONOMY, children, make_release, photos
from components.release_validator.check import running
from serving import retention
from serving.client import Client, ClientError
from serving.release import versions


def numbers(pid: int) -> list[float]:
    """Resident MB, open files, threads of a process."""
    memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return [memory, len(list(Path(f"/proc/{pid}/fd").iterdir())), len(list(Path(f"/proc/{pid}/task").iterdir()))]


class Load:
    """Asks `client` at random until `ended`; `answers` counts what came of it."""

    def __init__(self, client: Client, hasty: Client, encoded: list[bytes], rate: float) -> None:
        self.client, self.hasty, self.encoded, self.rate = client, hasty, encoded, rate
        self.answers: Counter[str] = Counter()
        self.ended = threading.Event()

    def run(self) -> None:
        """A thread a request, as many as it takes."""
        random, place = np.random.default_rng(0), 0
        while not self.ended.wait(random.exponential(1 / self.rate)):
            place += 1
            threading.Thread(target=self._ask, args=(place,), daemon=True).start()

    def _ask(self, place: int) -> None:
        photo, attribute = self.encoded[place % len(self.encoded)], TAXONOMY.names[place % 8]
        client = self.hasty if place % 50 == 1 else self.client
        try:
            if place % 50 == 2:
                client.embed([photo[:200]], [attribute])
            elif place % 3 == 0:
                client.classify(photo)
            elif place % 3 == 1:
                client.search(photo, attribute)
            else:
                client.embed([photo], [attribute])
            self.answers["answered"] += 1
        except ClientError as error:
            self.answers[error.code.name if error.code else "unreadable"] += 1


def swap_every(seconds: float, releases: Path, ended: threading.Event) -> None:
    """The same release anew, as the newest; the five newest stay."""
    while not ended.wait(seconds):
        retention.rollback(releases, 1)
        for version in versions(releases)[1:-4]:
            shutil.rmtree(releases / str(version))


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A soak of the embedded server")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--swap-seconds", type=float, default=60.0)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args(argv)
    encoded, rows = photos(64), []
    with tempfile.TemporaryDirectory() as folder:
        releases = make_release(Path(folder), given.backbone, given.size, encoded[0])
        with running(releases) as address, Client(address, timeout=30) as client, Client(address, timeout=0.003) as hasty:
            (server,) = children(os.getpid())
            load = Load(client, hasty, encoded, given.rate)
            threads = [
                threading.Thread(target=load.run),
                threading.Thread(target=swap_every, args=(given.swap_seconds, releases, load.ended)),
            ]
            for thread in threads:
                thread.start()
            started = time.monotonic()
            for tenth in range(1, 11):
                time.sleep(max(0.0, started + 6 * given.minutes * tenth - time.monotonic()))
                rows.append([0.1 * tenth * given.minutes, *numbers(server)])
                print(f"{rows[-1]} {dict(load.answers)}", file=sys.stderr, flush=True)
            load.ended.set()
            for thread in threads:
                thread.join()
            served = client.versions()
        print(tabulate(rows, ("minute", "MB", "files", "threads"), floatfmt=".1f", tablefmt="github"))
        growth = [b - a for a, b in zip(rows[0][1:], rows[-1][1:], strict=True)]
        print(f"\nsince minute {rows[0][0]:.1f}: {growth[0]:+.1f} MB, {growth[1]:+.0f} files, {growth[2]:+.0f} threads")
        print(f"{len(served)} versions served one after the other; {dict(load.answers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
