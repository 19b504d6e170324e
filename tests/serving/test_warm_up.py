"""A version that answers has been used already: by its own warm-up file, before anybody could ask."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from serving import release, warm_up
from serving.asking import Asked, strings
from serving.batcher import Batching
from serving.call import RequestError
from serving.exact import ExactIndex
from serving.protos import prediction_log_pb2
from serving.servable import Servable


def test_all_of_it_has_run_before_anybody_asks(tmp_path: Path, compose_into: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, searched, search = Counter[tuple[str, int]](), [], ExactIndex.search
    monkeypatch.setattr(ExactIndex, "search", lambda index, *asked: (searched.append(index), search(index, *asked))[1])
    release.push(tmp_path, compose_into)
    servable = Servable(tmp_path / "1", Batching(8), lambda signature, rows, _: runs.update([(signature, rows)]))
    try:
        for name in ("embed", "classify", "explain"):  # alone, as at night, and in the largest batch, as at noon
            assert runs[name, 1], name
            assert runs[name, 8], name
        assert len({id(index) for index in searched}) == 2  # that of either attribute
    finally:
        servable.close()


def test_a_release_that_refuses_its_own_warm_up_is_not_served(
    tmp_path: Path, compose_into: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "warm_up_records", lambda image, _: warm_up.warm_up_records(image, ["colour"]))
    release.push(tmp_path, compose_into)
    with pytest.raises(RequestError, match='unknown attribute "colour"'):
        Servable(tmp_path / "1")


def test_a_log_of_all_signatures_warms_up_too(
    tmp_path: Path, compose_into: Any, photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked("", "m3net")
    requests = [
        asked.predict("classify", {"image": strings([photo(1), photo(2)])}),
        asked.search([photo(1)], ["pocket"], 3),
        asked.search_by("id", "v1-3", "neckline", 3),
        asked.predict("classify", {"image": strings([])}),
    ]
    logs = [
        prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=one)).SerializeToString()
        for one in requests
    ]
    monkeypatch.setattr(release, "warm_up_records", lambda *_: warm_up.framed(logs))
    test_all_of_it_has_run_before_anybody_asks(tmp_path, compose_into, monkeypatch)
    monkeypatch.setattr(release, "warm_up_records", lambda *_: warm_up.framed(logs[2:3]))
    release.push(tmp_path, lambda folder, version: compose_into(folder, version, like=1))
    Servable(tmp_path / "2").close()  # no photo to run the rest with
