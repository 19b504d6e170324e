"""Is this machine fit to run the pipeline? What is installed, what falls short, what to do."""

import platform
import shutil
import sys
from importlib import metadata

_PACKAGES = {
    "tfx": "1.21.0",
    "tensorflow": "2.20.0",
    "keras": "3.15.1",
    "apache-beam": "2.77.0",
    "ml-metadata": "1.17.1",
    "tensorflow-data-validation": "1.16.1",
    "scann": "1.4.2",
    "tensorflow-serving-api": "2.19.1",
    "kfp": "2.16.1",
}
_FREE_GB = 1  # for runs; set-up asks for its own 4
_MEND = {
    "free disk": "free some here, or take another folder: runs write under --output",
    "platform": "take Linux on x86-64; TFX and ScaNN have no packages for others",
}


def report() -> tuple[list[str], bool]:
    """A line a finding, and whether all is well."""
    lines, mend = [], set()
    for what, found, wanted in _findings():
        fits = found == wanted or wanted == ""
        lines.append(f"{'ok  ' if fits else 'BAD '} {what} {found}" + ("" if fits else f"; needs {wanted}"))
        if not fits:
            mend.add(_MEND.get(what, "delete .venv and run make run, which installs requirements.lock anew"))
    lines += [f"to mend: {one}" for one in sorted(mend)]
    return lines, not mend


def _findings() -> list[tuple[str, str, str]]:
    found = [("python", ".".join(map(str, sys.version_info[:2])), "3.11")]
    found.append(("platform", f"{platform.system()} {platform.machine()}", "Linux x86_64"))
    free = shutil.disk_usage(".").free >> 30
    found.append(("free disk", f"{free} GB", "" if free >= _FREE_GB else f"{_FREE_GB} GB"))
    for name, wanted in _PACKAGES.items():
        try:
            found.append((name, metadata.version(name), wanted))
        except metadata.PackageNotFoundError:
            found.append((name, "is missing", wanted))
    return found
