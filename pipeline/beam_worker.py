"""The worker that a Beam runner starts itself, a process a worker node: `--environment_type=PROCESS` without a container.

The runner calls a command with Beam's container contract (`--id`, `--provision_endpoint`); Beam for Python ships a program
that understands it in its container images alone. A two-line script on every node makes this module that command:

    #!/bin/sh
    exec /opt/m3net/.venv/bin/python -m pipeline.beam_worker "$@"

It opens no port: it calls the node's runner, which listens on its loopback. Code is not staged: m3net is installed there.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as messages
from apache_beam.portability.api import beam_provision_api_pb2_grpc as stubs
from google.protobuf import json_format

_WAIT_SEC = 60


def environment(arguments: Sequence[str]) -> dict[str, str]:
    """What Beam's worker reads from its environment. Asks the runner, at the address it gives, for all but the worker's id."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    given, _ = parser.parse_known_args(arguments)  # the others are about files to stage: there are none
    info = _provision(given.provision_endpoint, given.id)
    return {
        "WORKER_ID": given.id,
        "LOGGING_API_SERVICE_DESCRIPTOR": str(info.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": str(info.control_endpoint),
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def _provision(endpoint: str, worker: str) -> messages.ProvisionInfo:
    with grpc.insecure_channel(endpoint) as channel:
        ask = stubs.ProvisionServiceStub(channel).GetProvisionInfo
        return ask(messages.GetProvisionInfoRequest(), metadata=[("worker_id", worker)], timeout=_WAIT_SEC).info


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the runner until it closes the connection."""
    os.environ |= environment(sys.argv[1:] if arguments is None else arguments)
    # TFX before TFDV: TFX installs a part that TFDV's import needs, and a worker unpickles in any order.
    import tfx  # noqa: F401
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


if __name__ == "__main__":
    main()
