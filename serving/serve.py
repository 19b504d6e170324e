"""The command `m3net serve`, also `python -m serving.serve`: from flags to a server, until a signal ends it."""

import argparse
import os
import signal
import sys
from pathlib import Path

from serving import logs, remote, settings
from serving.batcher import Batching
from serving.call import RequestError
from serving.flags import add_flags
from serving.policy import ModelConfig, configs_of
from serving.release import versions
from serving.server import Server, Settings


def serve(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT, as the flags say. Returns: the exit code, 2 for a mistake, one line on stderr."""
    if logs.chosen(arguments.log_format):
        with logs.structured(stdout=True):
            return _serve(arguments)
    return _serve(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    try:
        given = _settings(arguments)
        server = Server(given)
    except (settings.SettingsError, RequestError, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        print(f"m3net serve: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, OSError):
        ports = f"{arguments.host}:{arguments.port}"
        others = f" or {arguments.rest_api_port}" if arguments.rest_api_port else ""
        flags = " or --rest-api-port" if arguments.rest_api_port else ""
        print(f"m3net serve: {ports}{others} cannot be listened on; choose another --port{flags}", file=sys.stderr)
        return 2
    for config in given.models.values():
        _hint(config.base_path)
    if server.rest:
        scheme = "https" if given.tls else "http"
        print(f"page: {scheme}://{server.rest.address}/ REST: {scheme}://{server.rest.address}/v1/models", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    server.run(arguments.model_config_file, arguments.model_config_file_poll_wait_seconds)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    if arguments.model_config_file:
        models = configs_of(settings.read_models(arguments.model_config_file))
    elif arguments.releases is None:
        raise settings.SettingsError("give the folder that holds the releases, or --model-config-file")
    elif not arguments.releases.is_dir():
        raise settings.SettingsError(f"{arguments.releases} is no folder; give the folder that holds the releases")
    else:
        models = {arguments.model_name: ModelConfig(arguments.releases)}
    token = settings.read_token(arguments.token_file) if arguments.token_file else ""
    read, usual = settings, remote.BATCHING if arguments.embedder else Batching()
    batching, tls, page = arguments.batching_parameters_file, arguments.ssl_config_file, arguments.monitoring_config_file
    return Settings(
        models,
        arguments.port,
        arguments.rest_api_port or None,
        arguments.host,
        read.read_batching(batching, usual) if batching else usual,
        read.read_tls(tls) if tls else None,
        token,
        read.read_metrics_path(page) if page else settings.METRICS_PATH,
        arguments.rest_api_timeout_in_ms / 1000,
        arguments.embedder,
    )


def _hint(releases: Path) -> None:
    if releases.is_dir() and not versions(releases):
        inside = releases / "releases"
        hint = f" (did you mean {inside}?)" if inside.is_dir() else ""
        print(f"{releases} holds no release yet{hint}; waiting for the first", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """`python -m serving.serve`. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="m3net serve", description="Serve releases over gRPC and REST.")
    add_flags(parser, rest_api_port=0)
    return serve(parser.parse_args(argv))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # all is answered and closed; taking TensorFlow down piece by piece would cost seconds more
