"""The page that Prometheus reads, under TF Serving's names."""

import re

from serving.metrics import Metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.page().splitlines()


def test_counts_and_latencies() -> None:
    metrics = Metrics(lambda: ["m"], {":m3net:waiting_rows": lambda: {"m": 3}})
    metrics.request("m", "Predict", "GRPC", "OK", 15e-6)
    metrics.request("m", "Predict", "GRPC", "OK", 33e-6)
    metrics.request("m", "Predict", "GRPC", "NOT_FOUND", 5.0)
    metrics.batch("m", "embed", 3, 0.002)
    page = lines(metrics)
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 2' in page
    assert ':tensorflow:serving:request_count{model_name="m",status="NOT_FOUND"} 1' in page
    # Buckets up to 10, 18, 32.4, 58.32 ... microseconds: 15 lies in the second, 33 in the fourth; cumulative.
    prefix = ':tensorflow:serving:request_latency_bucket{model_name="m",API="Predict",entrypoint="GRPC",le='
    counts = [line.split()[-1] for line in page if line.startswith(prefix)]
    assert counts == ["0", "1", "1", *["2"] * 31]
    labels = '{model_name="m",API="Predict",entrypoint="GRPC"}'
    assert f":tensorflow:serving:request_latency_sum{labels} 48" in page
    assert f":tensorflow:serving:request_latency_count{labels} 2" in page  # the refusal is no latency
    assert ':m3net:batch_rows_bucket{model_name="m",signature="embed",le="2"} 0' in page
    assert ':m3net:batch_rows_bucket{model_name="m",signature="embed",le="4"} 1' in page
    assert ':m3net:waiting_rows{model_name="m"} 3' in page


def test_every_line_is_of_the_format() -> None:
    metrics = Metrics(lambda: ['a"b\\c\nd'], {":m3net:model_ready": lambda: {'a"b\\c\nd': True}})
    metrics.request('a"b\\c\nd', "Predict", "REST", "OK", 1.0)
    sample = re.compile(r'[a-zA-Z_:][\w:]*(\{(\w+="([^"\\\n]|\\["\\n])*",?)*\})? [-+.\deInf]+')
    for line in lines(metrics):
        assert line.startswith("# TYPE ") or sample.fullmatch(line), line


def test_names_that_clients_make_up_are_not_kept() -> None:
    metrics = Metrics(lambda: ["m"], {})
    for number in range(1000):
        metrics.request(f"x{number}", "Predict", "GRPC", "NOT_FOUND", 0.0)
    assert [line for line in lines(metrics) if "NOT_FOUND" in line] == [
        ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 1000'
    ]
