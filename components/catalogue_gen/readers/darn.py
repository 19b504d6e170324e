"""DARN, as it can be had: in the form of the ASEN family's lists, for its own label files were never made public.

Nine attributes; what their classes are called is not known, so they are v0, v1, ... Photos lie at pic/<folder>/<file>.jpg,
where the folder's number gives the clothes category away: nothing here reads it.
"""

from components.catalogue_gen.readers.asen_lists import AsenReader

_SIZES = {
    "clothes category": 20,
    "clothes button": 13,
    "clothes color": 55,
    "clothes length": 7,
    "clothes pattern": 28,
    "clothes shape": 11,
    "collar shape": 26,
    "sleeve length": 8,
    "sleeve shape": 17,
}


class DarnReader(AsenReader):
    """Reads a folder of lists like `AsenReader`, and knows the attributes where no meta.json comes with them."""

    sizes = _SIZES
