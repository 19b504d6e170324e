"""Where finished chunks wait until all are: a folder that the next try finds again, for its name follows from the inputs.

TFX gives every execution a new output folder, so what a killed one left there would never be found.
"""

import hashlib
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems

from components.embedder.chunks import PHOTOS, examples_files

FOLDER = "staging"


def staging(output: str, examples: str, splits: Sequence[str], model: str) -> str:
    """The folder in which Embeddings grow before they are moved to `output`, the artifact's folder of this execution.

    Args:
        examples: folder of the Examples. model: path of the .keras file. Another model, or another state of any file of
            Examples, gives another folder; one whose inputs never come again can be deleted at any time.
    Returns: <component>/staging/<key>, where `output` is <component>/embeddings/<execution>.
    """
    key = hashlib.blake2b(f"{PHOTOS}".encode(), digest_size=12)
    with FileSystems.open(model) as file:
        key.update(hashlib.file_digest(file, "sha256").digest())
    paths = [file.path for file in examples_files(examples, splits)]
    for found in FileSystems.match(paths):
        for one in found.metadata_list:
            key.update(f"\n{one.path} {one.size_in_bytes} {one.last_updated_in_seconds}".encode())
    component = output.rstrip("/").rsplit("/", 2)[0]
    return f"{component}/{FOLDER}/{key.hexdigest()}"


def finished(folder: str) -> list[str]:
    """The Parquet files in `folder`, by name; none where there is no such folder."""
    return sorted(file.path for file in FileSystems.match([f"{folder}/*.parquet"])[0].metadata_list)


def publish(folder: str, output: str) -> None:
    """Moves the Parquet files of `folder` to the folder `output`, and removes `folder` with what killed workers left."""
    paths = finished(folder)
    if not FileSystems.exists(output):
        FileSystems.mkdirs(output)
    # Moved, not copied: vectors can weigh more than their photos. Killed in between, the next try embeds what is gone.
    FileSystems.rename(paths, [f"{output}/{path.rsplit('/', 1)[1]}" for path in paths])
    FileSystems.delete([folder])
