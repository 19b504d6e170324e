"""Gathers all that the page shows: the ranking first, then only the photos that it asks for, then the model's looks."""

from dataclasses import dataclass, replace
from pathlib import Path

from components.errors import InputError
from models.taxonomy import Taxonomy
from pipeline.report import comparison, curves, near_duplicates, rejects
from pipeline.report.attributes import AttributePart, attention, attribute_part, calibration, same_classes
from pipeline.report.galleries import queries_of_a_kind
from pipeline.report.looks import Looks
from pipeline.report.photos import Picture, read_photos, thumbnail
from pipeline.report.ranking import Ranked, by_hash, labelled_rows, rank
from pipeline.report.run_folder import RunFolder, read

_LOOKED_AT = 1000  # photos of the split that the model sees again, for calibration
_ATTRIBUTES = 40  # with a part of their own; the table has all


@dataclass(frozen=True)
class Contents:
    """What the template fills in. `other` and `compared` are empty unless a second run was given.

    `thumbnails`: by photo id; a photo that is not stored has none. `near_duplicates`: None where none were looked for.
    `left_out`: attributes without a part of their own.
    """

    run: RunFolder
    system: str
    other: str
    compared: list[comparison.Compared]
    parts: list[AttributePart]
    left_out: int
    thumbnails: dict[str, Picture]
    history: list[dict[str, float]]
    counts: dict[str, int]
    rejects: list[rejects.Kind]
    near_duplicates: near_duplicates.NearDuplicates | None


def gather(folder: Path, other: Path | None = None) -> Contents:
    """Reads the last evaluation of `folder`, and that of `other`. Raises: InputError where one is missing, or both
    have no query in common."""
    run, second = read(folder), read(other) if other else None
    split, protocol = run.results["split"], run.results["protocol"]
    own = rank(run.embeddings, split, protocol)
    theirs = _comparable(run, second, protocol) if second else {}
    compared = comparison.compare(own, theirs)
    if second and not compared:
        raise InputError(f"{other} and {folder} have no query of one attribute in common; compare runs on one catalogue")
    names = _names(run, folder, second, other)
    parts = _parts({names[0]: own, names[1]: theirs} if second else {names[0]: own}, Taxonomy.load(run.examples))
    parts, thumbnails = _with_photos(run, second, parts)
    near = near_duplicates.read(run.examples)
    return Contents(
        run=run,
        system=names[0],
        other=names[1],
        compared=compared,
        parts=parts,
        left_out=len(own) - len(parts),
        thumbnails=near_duplicates.thumbnails(run.examples, near) | thumbnails,
        history=curves.read_history(run.history),
        counts=rejects.counts(run.examples),
        rejects=rejects.kinds(run.examples),
        near_duplicates=near,
    )


def _names(run: RunFolder, folder: Path, second: RunFolder | None, other: Path | None) -> tuple[str, str]:
    """What the systems are called; two of one name are told apart by their folders."""
    own, theirs = run.results["system"], second.results["system"] if second else ""
    return (own, theirs) if own != theirs else (f"{own} in {folder}", f"{theirs} in {other}")


def _comparable(run: RunFolder, second: RunFolder, protocol: str) -> dict[str, Ranked]:
    """The second run's ranking of those attributes whose classes are the first one's."""
    same = same_classes(Taxonomy.load(run.examples), Taxonomy.load(second.examples))
    return {name: ranked for name, ranked in rank(second.embeddings, run.results["split"], protocol).items() if name in same}


def _parts(systems: dict[str, dict[str, Ranked]], taxonomy: Taxonomy) -> list[AttributePart]:
    own = next(iter(systems.values()))
    names = sorted(own)[:_ATTRIBUTES]  # as in results.json
    count = queries_of_a_kind(len(names), len(systems))
    return [
        attribute_part(
            name, {s: ranked[name] for s, ranked in systems.items() if name in ranked}, taxonomy[name].classes, count
        )
        for name in names
    ]


def _with_photos(
    run: RunFolder, second: RunFolder | None, parts: list[AttributePart]
) -> tuple[list[AttributePart], dict[str, Picture]]:
    """The parts with what the model says of their photos, and every photo shown as a thumbnail."""
    split = run.results["split"]
    rows = labelled_rows(run.embeddings, split)
    looked_at = set(sorted(set(rows["id"].to_pylist()), key=by_hash)[:_LOOKED_AT])
    looked_at |= {gallery.query.photo for part in parts for gallery in part.drawn}
    shown = {photo for part in parts for photo in part.photos()}
    photos = read_photos(run.examples, split, shown | looked_at)
    looks = Looks(run.model, {photo: photos[photo] for photo in sorted(looked_at & set(photos))})
    if second:
        photos |= read_photos(second.examples, split, shown - set(photos))
    parts = [
        replace(part, calibration=calibration(looks, rows, part.name), attention=attention(looks, part.drawn, part.name))
        for part in parts
    ]
    return parts, {photo: thumbnail(photos[photo]) for photo in sorted(shown & set(photos))}
