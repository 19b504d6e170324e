"""What `make test-cluster` runs: Beam's Flink job server from Maven Central, Flink itself from PyPI's source archive."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build" / "cluster"  # ignored by git
FLINK = "1.19.0"  # the client's, in pom.xml's job server: the two exchange Java objects
_DRIVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"


def job_server() -> Path:
    """A jar that names the job server's parts: what `--flink_job_server_jar` takes."""
    jar, folder = CACHE / "job-server.jar", CACHE / "job-server"
    if not jar.exists():
        collect = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        subprocess.run(["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), *collect], check=True)
        parts = " ".join(f"job-server/{one.name}" for one in sorted(folder.glob("*.jar")))
        with zipfile.ZipFile(jar, "w") as file:
            file.writestr("META-INF/MANIFEST.MF", _manifest({"Main-Class": _DRIVER, "Class-Path": parts}))
    return jar


def flink() -> Path:
    """The folder of Flink's jars. The archive is unpacked, never installed."""
    lib = CACHE / "flink" / "lib"
    if not lib.exists():
        source = CACHE / "flink-source"
        fetch = ["download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
        subprocess.run([sys.executable, "-m", "pip", *fetch, "-r", str(HERE / "flink.txt"), "-d", str(source)], check=True)
        with tarfile.open(source / f"apache-flink-libraries-{FLINK}.tar.gz") as archive:
            for member in archive.getmembers():
                if member.isfile() and "/deps/lib/" in member.name:
                    member.name = Path(member.name).name
                    archive.extract(member, lib, filter="data")
    return lib


def _manifest(entries: dict[str, str]) -> str:
    """A manifest's lines are at most 72 bytes; the next goes on after one blank."""
    lines = ["Manifest-Version: 1.0"]
    for text in (f"{key}: {value}" for key, value in entries.items()):
        lines += [text[:70], *(f" {text[i : i + 70]}" for i in range(70, len(text), 70))]
    return "\r\n".join([*lines, "", ""])
