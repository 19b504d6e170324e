"""The embedded server at 70 % load for minutes, with a new release every so often: memory, files and threads.

    python -m benchmarks.soak [--minutes 20] [--swap-seconds 60] [--backbone small] [--size 96]

What 16 clients at once get answered is measured first; then 70 % as many requests come at random (Poisson): embed, search
and classify in turns, one in fifty with a broken photo, one in fifty abandoned. Two releases of different weights and items
take turns; an answer with items of another than the version it names is mixed. A line is printed every tenth of the time,
with the latency since the last; at the end stands how much each number grew since the first tenth, in which everything was
touched once.
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
    """Asks at random until `ended`; `answers` counts what came of it, `seconds` how long each took from when it was due.

    `hasty`: a client that leaves before it is answered.
    """

    def __init__(self, client: Client, hasty: Client, encoded: list[bytes]) -> None:
        self.client, self.hasty, self.encoded = client, hasty, encoded
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.ended = threading.Event()

    def run(self, rate: float) -> None:
        """A thread a request, as many as it takes."""
        random, due, place = np.random.default_rng(0), time.perf_counter(), 0
        while not self.ended.is_set():
            due += random.exponential(1 / rate)
            time.sleep(max(0.0, due - time.perf_counter()))
            place += 1
            threading.Thread(target=self._ask, args=(place, due), daemon=True).start()

    def capacity(self, seconds: float) -> float:
        """Answers a second to 16 clients, each with the next question as soon as it has an answer."""
        done, end = [0] * 16, time.perf_counter() + seconds

        def work(me: int) -> None:
            while time.perf_counter() < end:
                done[me] += 1
                self._ask(3 * 50 * 16 + me + 48 * done[me], time.perf_counter())

        threads = [threading.Thread(target=work, args=(me,)) for me in range(len(done))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / seconds

    def _ask(self, place: int, due: float) -> None:
        photo, attribute = self.encoded[place % len(self.encoded)], TAXONOMY.names[place % 8]
        client = self.hasty if place % 50 == 1 else self.client
        try:
            if place % 50 == 2:
                client.embed([photo[:200]], [attribute])
            elif place % 3 == 0:
                client.classify(photo)
            elif place % 3 == 1:
                self._search(client, photo, attribute)
            else:
                client.embed([photo], [attribute])
            self.answers["answered"] += 1
            self.seconds.append(time.perf_counter() - due)
        except ClientError as error:
            self.answers[error.code.name if error.code else "unreadable"] += 1

    def _search(self, client: Client, photo: bytes, attribute: str) -> None:
        kinds = {found.id.split("-")[0] for found in client.search(photo, attribute)}
        self.answers["mixed"] += len(kinds) - 1
        self.answers[f"searched in release {'and'.join(sorted(kinds))}"] += 1


def swap_every(seconds: float, releases: Path, ended: threading.Event) -> None:
    """Versions 1 and 2 by turns, anew as the newest; those two and the four newest stay."""
    turn = 0
    while not ended.wait(seconds):
        turn += 1
        retention.rollback(releases, 2 - turn % 2)
        for version in versions(releases)[2:-4]:
            shutil.rmtree(releases / str(version))


def main(argv: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A soak of the embedded server")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--swap-seconds", type=float, default=60.0)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args(argv)
    encoded, rows = photos(64), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in (1, 2):
            releases = make_release(Path(folder), given.backbone, given.size, encoded[0], seed)
        with running(releases) as address, Client(address, timeout=30) as client, Client(address, timeout=0.003) as hasty:
            (server,) = children(os.getpid())
            load = Load(client, hasty, encoded)
            rate = 0.7 * load.capacity(15.0)
            load.seconds.clear()
            print(f"70 % of capacity: {rate:.1f} requests a second", file=sys.stderr, flush=True)
            threads = [
                threading.Thread(target=load.run, args=(rate,)),
                threading.Thread(target=swap_every, args=(given.swap_seconds, releases, load.ended)),
            ]
            for thread in threads:
                thread.start()
            started, seen = time.monotonic(), 0
            for tenth in range(1, 11):
                time.sleep(max(0.0, started + 6 * given.minutes * tenth - time.monotonic()))
                seconds, seen = load.seconds[seen:], len(load.seconds)
                latency = [1000 * float(x) for x in np.quantile(seconds, [0.5, 0.99])]
                rows.append([0.1 * tenth * given.minutes, *numbers(server), *latency])
                print(f"{rows[-1]} {dict(load.answers)}", file=sys.stderr, flush=True)
            load.ended.set()
            for thread in threads:
                thread.join()
            newest = versions(releases)[-1]
        print(f"{rate:.1f} requests a second, 70 % of what 16 clients were answered; {given.backbone}, {given.size} pixels\n")
        print(tabulate(rows, ("minute", "MB", "files", "threads", "p50 ms", "p99 ms"), floatfmt=".1f", tablefmt="github"))
        growth = [b - a for a, b in zip(rows[0][1:], rows[-1][1:], strict=True)]
        print(f"\nsince minute {rows[0][0]:.1f}: {growth[0]:+.1f} MB, {growth[1]:+.0f} files, {growth[2]:+.0f} threads")
        print(f"{newest - 2} swaps; {dict(load.answers)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
