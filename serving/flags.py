"""The server's flags, known to `m3net serve` and `python -m serving.serve`; quick to import.

Those of TF Serving are taken as it spells them, with underscores, and with hyphens.
"""

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser, rest_api_port: int) -> None:
    """Adds all of them; `rest_api_port` is the default."""
    parser.add_argument("releases", type=Path, nargs="?", help="the folder that holds the versions")
    parser.add_argument("--port", type=int, default=8500, help="gRPC; 0 takes a free one (default %(default)s)")
    text = "REST and metrics; 0 = none (default %(default)s)"
    _both(parser, "--rest-api-port", type=int, default=rest_api_port, help=text)
    _both(parser, "--rest-api-timeout-in-ms", type=int, default=30_000, help="of a REST request (default %(default)s)")
    _both(parser, "--model-name", default="m3net", help="the name that clients ask for (default %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    text = "text proto ModelServerConfig instead of a folder: models, version policies, labels, request logging"
    _both(parser, "--model-config-file", type=Path, metavar="FILE", help=text)
    text = "read that file anew this often; 0 = once (default %(default)s)"
    _both(parser, "--model-config-file-poll-wait-seconds", type=int, default=0, metavar="SECONDS", help=text)
    text = "text proto BatchingParameters: max_batch_size, max_enqueued_batches, num_batch_threads"
    _both(parser, "--batching-parameters-file", type=Path, metavar="FILE", help=text)
    _both(parser, "--ssl-config-file", type=Path, metavar="FILE", help="text proto SSLConfig, for gRPC and REST")
    _both(parser, "--monitoring-config-file", type=Path, metavar="FILE", help="text proto MonitoringConfig")
    text = "a TensorFlow Serving over the same folder that runs the network; this server searches"
    parser.add_argument("--embedder", default="", metavar="HOST:PORT", help=text)
    _both(parser, "--log-format", choices=("text", "json"), help="of stdout and stderr (default: text)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="clients must send this bearer token")


def _both(parser: argparse.ArgumentParser, name: str, **options: object) -> None:
    parser.add_argument(name, f"--{name[2:].replace('-', '_')}", **options)  # type: ignore[arg-type]
