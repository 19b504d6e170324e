"""Several indexes as one: searched one after another, their answers merged. Rows count on from shard to shard."""

from collections.abc import Sequence

import numpy as np

from serving.exact import Found, Index, IndexInfo, merged


class Shards:
    """At least one index, all of vectors of one length."""

    def __init__(self, shards: Sequence[Index]) -> None:
        self.shards = shards
        self._starts = np.cumsum([0, *(one.info.size for one in shards)])
        recall = min(one.info.recall for one in shards)
        self.info = IndexInfo("shards", int(self._starts[-1]), shards[0].info.length, recall, shards=len(shards))

    def search(self, queries: np.ndarray, k: int) -> Found:
        """See `Index.search`."""
        found = []
        for shard, start in zip(self.shards, self._starts.tolist(), strict=False):
            rows, scores = shard.search(queries, k)
            found.append((rows + np.int32(start), scores))
        return merged(found, k)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """See `Index.take`."""
        vectors = np.empty((len(rows), self.info.length), np.float32)
        of_shard = np.searchsorted(self._starts, rows, side="right") - 1
        for place, shard in enumerate(self.shards):
            mine = of_shard == place
            if mine.any():
                vectors[mine] = shard.take(rows[mine] - self._starts[place])
        return vectors
