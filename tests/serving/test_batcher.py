"""The batcher around a model whose every step the test holds in its hand."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from serving.batcher import Batcher, Batching
from serving.call import Call, Code, RequestError, invalid


class Model:
    """Doubles numbers; fails on 13. It runs only what `go` lets through, and keeps each batch it was given."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.ran: list[tuple[str, list[int]]] = []

    def run(self, signature: str, inputs: dict[str, np.ndarray], call: Call) -> dict[str, np.ndarray]:
        self.go.acquire()
        self.ran.append((signature, inputs["x"].tolist()))
        if 13 in inputs["x"]:
            raise invalid("13")
        return {"y": inputs["x"] * 2}


class Asked:
    """A batcher over `model`; `ask` returns once the request waits, or is with the model."""

    def __init__(self, model: Model, **settings: int) -> None:
        self.model, self.batcher = model, Batcher(model.run, Batching(**settings))
        self._pool = ThreadPoolExecutor(64)

    def ask(self, *numbers: int, signature: str = "double", call: Call | None = None) -> "Future[list[int]]":
        before = self.batcher.waiting()
        answer = self._pool.submit(self._ask, numbers, signature, call or Call())
        wait_for(lambda: self.batcher.waiting() != before or answer.done())
        return answer

    def _ask(self, numbers: tuple[int, ...], signature: str, call: Call) -> list[int]:
        return list(self.batcher.ask(signature, {"x": np.array(numbers, np.int64)}, call)["y"].tolist())

    def occupied(self, number: int = 0) -> "Future[list[int]]":
        """The model is at work on `number`; whatever comes now must wait."""
        answer = self._pool.submit(self._ask, (number,), "double", Call())
        wait_for(lambda: not self.batcher.waiting() and answer.running())
        time.sleep(0.05)  # from running to being in the queue and out of it again
        return answer


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def model() -> Iterator[Model]:
    """What still waits for it when a test ends is let through, so that no thread stays behind."""
    yield (model := Model())
    model.go.release(10_000)


def test_what_gathers_while_the_model_works_runs_together(model: Model) -> None:
    asked = Asked(model, max_batch_size=4)
    answers = [asked.occupied()] + [asked.ask(number) for number in range(1, 7)]
    model.go.release(9)
    assert [answer.result(10) for answer in answers] == [[2 * number] for number in range(7)]
    # Alone at first, for nothing is waited for; then up to four, in the order they came.
    assert model.ran == [("double", [0]), ("double", [1, 2, 3, 4]), ("double", [5, 6])]


def test_rows_go_back_to_those_who_sent_them_and_a_large_request_goes_alone_in_parts(model: Model) -> None:
    asked = Asked(model, max_batch_size=4)
    answers = [asked.occupied(), asked.ask(1, 2), asked.ask(3, 4, 5, 6, 7), asked.ask(8), asked.ask(9, 10)]
    model.go.release(9)
    assert [answer.result(10) for answer in answers[1:]] == [[2, 4], [6, 8, 10, 12, 14], [16], [18, 20]]
    assert [numbers for _, numbers in model.ran] == [[0], [1, 2, 8], [3, 4, 5, 6], [7], [9, 10]]


def test_signatures_do_not_mix(model: Model) -> None:
    asked = Asked(model, max_batch_size=4)
    answers = [asked.occupied(), asked.ask(1), asked.ask(2, signature="other"), asked.ask(3)]
    model.go.release(9)
    assert [answer.result(10) for answer in answers[1:]] == [[2], [4], [6]]
    assert model.ran[1:] == [("double", [1, 3]), ("other", [2])]


@pytest.mark.parametrize("bad", [[3], [1, 8], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_bad_request_fails_alone_and_nobody_is_computed_twice(model: Model, bad: list[int]) -> None:
    asked = Asked(model, max_batch_size=8)
    answers = {0: asked.occupied()}
    for place in range(1, 9):
        answers[place] = asked.ask(13 if place in bad else 100 + place)
    model.go.release(99)
    for place in range(1, 9):
        if place in bad:
            with pytest.raises(RequestError, match=r"^13$"):
                answers[place].result(10)
        else:
            assert answers[place].result(10) == [2 * (100 + place)]
    good = [number for _, numbers in model.ran if 13 not in numbers for number in numbers]
    assert sorted(good) == sorted({0, *(100 + place for place in range(1, 9) if place not in bad)})


@pytest.mark.parametrize("bad", [[3], [1, 2, 3, 4]])
def test_where_the_spoiled_are_known_the_sound_run_once_together(model: Model, bad: list[int]) -> None:
    asked = Asked(model, max_batch_size=8)
    asked.batcher = Batcher(model.run, Batching(max_batch_size=8), spoiled=lambda inputs: inputs["x"] == 13)
    first = asked.occupied()
    # The second is a request of two rows: one bad row spoils both, and no other's.
    answers = [asked.ask(*([0, 13] if place in bad else [0, place])) for place in range(1, 5)]
    model.go.release(99)
    for place, answer in enumerate(answers, start=1):
        if place in bad:
            with pytest.raises(RequestError, match=r"^13$"):
                answer.result(10)
        else:
            assert answer.result(10) == [0, 2 * place]
    assert first.result(10) == [0]
    sound = [n for place in range(1, 5) if place not in bad for n in (0, place)]
    assert [numbers for _, numbers in model.ran[2:]] == [*([sound] if sound else []), *([0, 13] for _ in bad)]


def test_a_full_queue_refuses_at_once_and_recovers(model: Model) -> None:
    asked = Asked(model, max_batch_size=2, max_enqueued_batches=2)
    answers = [asked.occupied(), *(asked.ask(number) for number in range(1, 5))]
    with pytest.raises(RequestError, match=r"queue .* is full") as caught:
        asked.ask(5).result(10)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    model.go.release(99)
    assert [answer.result(10) for answer in answers] == [[0], [2], [4], [6], [8]]
    assert asked.ask(5).result(10) == [10]


def test_a_request_larger_than_the_queue_waits_alone(model: Model) -> None:
    asked = Asked(model, max_batch_size=2, max_enqueued_batches=1)
    first, large = asked.occupied(), asked.ask(1, 2, 3)
    model.go.release(9)
    assert (first.result(10), large.result(10)) == ([0], [2, 4, 6])


def test_who_waited_too_long_is_told_and_costs_no_computing(model: Model) -> None:
    asked = Asked(model, max_batch_size=4)
    first, late, patient = asked.occupied(), asked.ask(1, call=Call(0.1)), asked.ask(2, call=Call(60))
    with pytest.raises(RequestError) as caught:
        late.result(10)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert asked.batcher.waiting() == 1
    model.go.release(9)
    assert (first.result(10), patient.result(10)) == ([0], [4])
    assert [numbers for _, numbers in model.ran] == [[0], [2]]


def test_who_went_away_costs_no_computing(model: Model) -> None:
    gone: list[Callable[[], object]] = []
    asked = Asked(model, max_batch_size=4)
    first = asked.occupied()
    leaver = asked.ask(1, call=Call(on_end=lambda stop: gone.append(stop) is None))
    never_there = asked.ask(2, call=Call(on_end=lambda _: False))
    patient = asked.ask(3)
    gone[0]()
    for answer in (leaver, never_there):
        with pytest.raises(RequestError) as caught:
            answer.result(10)
        assert caught.value.code is Code.CANCELLED
    assert asked.batcher.waiting() == 1  # their places are free at once
    model.go.release(9)
    assert (first.result(10), patient.result(10)) == ([0], [6])
    assert [numbers for _, numbers in model.ran] == [[0], [3]]


@pytest.mark.parametrize("late", [False, True])
def test_of_a_large_request_no_further_part_is_run_for_nobody(model: Model, late: bool) -> None:
    gone: list[Callable[[], object]] = []
    asked = Asked(model, max_batch_size=2)
    call = Call(2.0) if late else Call(on_end=lambda stop: gone.append(stop) is None)
    first, large, patient = asked.occupied(), asked.ask(1, 2, 3, 4, 5, 6, call=call), asked.ask(7)
    model.go.release(2)
    wait_for(lambda: len(model.ran) == 2)  # and the second part is with the model
    if not late:
        gone[0]()
    else:
        wait_for(large.done)
    model.go.release(9)
    with pytest.raises(RequestError) as caught:
        large.result(10)
    assert caught.value.code is (Code.DEADLINE_EXCEEDED if late else Code.CANCELLED)
    assert (first.result(10), patient.result(10)) == ([0], [14])
    assert [numbers for _, numbers in model.ran] == [[0], [1, 2], [3, 4], [7]]


def test_who_is_found_gone_costs_no_computing(model: Model) -> None:
    asked = Asked(model, max_batch_size=4)
    first, gone, patient = asked.occupied(), asked.ask(1, call=Call(gone=lambda: True)), asked.ask(2)
    model.go.release(9)
    assert (first.result(10), patient.result(10)) == ([0], [4])
    with pytest.raises(RequestError) as caught:
        gone.result(10)
    assert caught.value.code is Code.CANCELLED
    assert [numbers for _, numbers in model.ran] == [[0], [2]]


def test_a_defect_reaches_its_request_and_the_worker_lives() -> None:
    def run(_: str, inputs: dict[str, np.ndarray], _call: Call) -> dict[str, Any]:
        if inputs["x"][0] == 1:
            raise MemoryError("too large")
        return {"y": inputs["x"]}

    batcher = Batcher(run, Batching())
    with pytest.raises(MemoryError):
        batcher.ask("x", {"x": np.array([1])}, Call())
    assert batcher.ask("x", {"x": np.array([2])}, Call())["y"].tolist() == [2]


def test_closing_answers_what_waits_and_takes_no_more(model: Model) -> None:
    asked = Asked(model, max_batch_size=1)
    answers = [asked.occupied(), asked.ask(1), asked.ask(2)]
    closing = threading.Thread(target=asked.batcher.close)
    closing.start()
    wait_for(lambda: asked.batcher._closed)
    with pytest.raises(RequestError) as caught:
        asked.ask(3).result(10)
    assert caught.value.code is Code.UNAVAILABLE
    model.go.release(9)
    assert [answer.result(10) for answer in answers] == [[0], [2], [4]]
    closing.join(10)
    assert not closing.is_alive()


def test_the_largest_batch_and_its_time_are_observed() -> None:
    seen: list[tuple[str, int, float]] = []
    batcher = Batcher(lambda _, inputs, _call: inputs, Batching(), lambda *what: seen.append(what))
    batcher.ask("x", {"x": np.arange(5)}, Call())
    ((signature, rows, seconds),) = seen
    assert (signature, rows) == ("x", 5)
    assert seconds >= 0


def test_a_batch_runs_for_as_long_as_any_of_it_waits_and_fails_as_one_where_none_is_at_fault() -> None:
    calls: list[Call] = []
    go = threading.Event()

    def run(_: str, inputs: dict[str, np.ndarray], call: Call) -> dict[str, Any]:
        assert go.wait(10)
        calls.append(call)
        raise RequestError(Code.UNAVAILABLE, "nobody there") if len(inputs["x"]) > 1 else invalid("alone")

    batcher, pool = Batcher(run, Batching()), ThreadPoolExecutor(4)
    asked = [Call(20), Call(60), Call(40)]
    first = pool.submit(batcher.ask, "x", {"x": np.array([0])}, Call(10))
    wait_for(lambda: first.running() and not batcher.waiting())
    others = [pool.submit(batcher.ask, "x", {"x": np.array([1])}, call) for call in asked]
    wait_for(lambda: batcher.waiting() == 3)
    go.set()
    for answer in (first, *others):
        with pytest.raises(RequestError):
            answer.result(10)
    assert len(calls) == 2  # not again by halves
    assert calls[1] is asked[1]
