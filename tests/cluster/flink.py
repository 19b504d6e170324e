"""A real Flink on loopback: a job manager and task managers, each a Java process of its own, stopped by its process id."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
_OPEN = [
    f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.util", "java.nio", "sun.nio.ch", "java.net")
]
_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_WORKER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def wait(what: str, found: Callable[[], Any], seconds: float) -> Any:
    """What `found` returns once it is true. Raises: TimeoutError that names `what`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not within {seconds:g} s")


def settings(folder: Path, rpc: int, rest: int) -> dict[str, Any]:
    """Everything on loopback; two slots a task manager, so that the one left can take the whole job."""
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": rpc,
        "jobmanager.bind-host": LOOPBACK,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": rest,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": 2,
        "taskmanager.load-balance.mode": "SLOTS",  # both task managers get work
        "taskmanager.cpu.cores": 1.0,
        # By hand, all of it: what is left out, Flink's shell scripts would work out, and those are not in the archive.
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "192m",
        "taskmanager.memory.jvm-overhead.max": "192m",
        "taskmanager.memory.task.heap.size": "512m",
        "taskmanager.memory.task.off-heap.size": "128m",
        "taskmanager.memory.managed.size": "256m",
        "taskmanager.memory.network.min": "256m",
        "taskmanager.memory.network.max": "256m",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "1 s",
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 10000,
        "classloader.check-leaked-classloader": "false",
        "io.tmp.dirs": str(folder),
    }


class Cluster:
    """A context: started with `workers` task managers, and gone, each process by its id, when left."""

    def __init__(self, lib: Path, folder: Path, workers: int = 2) -> None:
        self.lib, self.folder, self.count = lib, folder, workers
        self.rest = free_port()
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.rest}"

    def __enter__(self) -> "Cluster":
        conf = self.folder / "conf"
        conf.mkdir(parents=True)
        lines = [f"{key}: {value}" for key, value in settings(self.folder, free_port(), self.rest).items()]
        (conf / "flink-conf.yaml").write_text("\n".join(lines) + "\n")
        try:
            self._start(_MANAGER, "--executionMode", "cluster")
            for _ in range(self.count):
                worker = self._start(_WORKER)
                self.workers[worker.pid] = worker
            wait("task managers", lambda: self._registered() == self.count, 60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(30)

    def kill_worker(self) -> int:
        """kill -9 of one task manager. Returns: its process id."""
        pid = next(iter(self.workers))
        os.kill(pid, signal.SIGKILL)
        self.workers.pop(pid).wait(30)
        return pid

    def ask(self, path: str) -> Any:
        """The REST API's answer; {} while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return {}

    def _registered(self) -> int:
        return int(self.ask("/overview").get("taskmanagers", 0))

    def _start(self, entry: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{entry.rsplit('.', 1)[1]}-{len(self.processes)}.log").open("wb")
        command = ["java", "-Xmx768m", *_OPEN, "-cp", f"{self.lib}/*", entry, "--configDir", str(self.folder / "conf")]
        with log:
            process = subprocess.Popen([*command, *arguments], stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process
