"""`m3net evaluate`: exact metrics of any Embeddings Parquet, cut and compared as asked."""

import argparse
from pathlib import Path

from components.errors import InputError
from components.retrieval_evaluator import measure, paired, slices
from models.taxonomy import Taxonomy
from pipeline import results


def run(arguments: argparse.Namespace) -> None:
    """Measures, prints the tables, and writes results.json if asked to. Raises: InputError."""
    path, split, protocol = arguments.embeddings, arguments.split, arguments.protocol
    names = {"system": arguments.system or path.stem, "dataset": path.resolve().parent.name}
    found = measure.measure_all(path, split, protocol)
    table = measure.results(found, **names, split=split, protocol=protocol)
    if arguments.slices:
        table["slices"] = slices.slices(found, path, split, arguments.slices, _taxonomy(arguments.taxonomy))
    if arguments.output:
        results.write(arguments.output, table)
    print(f"{results.title(table)}\n\n{results.table(table)}")
    if arguments.slices:
        print(f"\n{results.sliced(table['slices'])}")
    if arguments.compare:
        second = measure.measure_all(arguments.compare, split, protocol)
        differences = paired.compare_measured(found, second, f"{path} and {arguments.compare}")
        print(f"\nMAP@all of {arguments.compare} less that of {path}, percent points, 95 % interval\n")
        print(results.differences(differences))


def _taxonomy(file: Path | None) -> Taxonomy | None:
    try:
        return Taxonomy.from_json(file.read_text(encoding="utf-8")) if file else None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}") from None
