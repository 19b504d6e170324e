"""The artifact types that TFX has no standard for. Kubeflow takes a type's name with a prefix and a dot alone."""

from tfx.types.artifact import Artifact

TRAIN, VALID, TEST = "train", "valid", "test"
SPLITS = (TRAIN, VALID, TEST)


class LabelChecks(Artifact):
    """findings.json: what is odd about a run's labels; which statistics passed, in its properties."""

    TYPE_NAME = "m3net.LabelChecks"


class Embeddings(Artifact):
    """Parquet files: a row an image and attribute, with `id`, `split`, `role`, `attribute`, `labels` and `vector`."""

    TYPE_NAME = "m3net.Embeddings"


class Evaluation(Artifact):
    """results.json: the metrics of one system on one split, and why it was or was not blessed in verdict.json."""

    TYPE_NAME = "m3net.RetrievalEvaluation"


class Index(Artifact):
    """index/<attribute>/ for every attribute, and items.parquet, whose row i is row i of every index."""

    TYPE_NAME = "m3net.RetrievalIndex"
