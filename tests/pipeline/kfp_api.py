"""Kubeflow Pipelines' API on loopback, as far as schedules go. Every body is read and written by kfp-server-api's models."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import kfp_server_api

MODELS = kfp_server_api.ApiClient()
ROOT = "/apis/v2beta1"


def through(kind: str, body: Any) -> Any:
    """`body`, once a model and back. Raises: AssertionError where the model does not know a field."""
    read = MODELS.deserialize(SimpleNamespace(data=json.dumps(body)), kind)
    back = MODELS.sanitize_for_serialization(read)
    assert back == body, (back, body)
    return back


class Api(ThreadingHTTPServer):
    """`status` is what it answers instead, if set; `refuse` makes it refuse new recurring runs, as for a wrong cron."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: list[dict[str, Any]] = []
        self.runs: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.tokens: set[str] = set()
        self.status, self.refuse, self.made = 0, False, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, kind: str | None, body: Any, status: int = 200) -> None:
        data = json.dumps(through(kind, body) if kind else body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _act(self) -> None:
        api, url = self.server, urllib.parse.urlsplit(self.path)
        path, query = url.path.removeprefix(ROOT), dict(urllib.parse.parse_qsl(url.query))
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(text) if text else None
        api.asked.append(f"{self.command} {path}")
        api.tokens.add(self.headers.get("authorization", ""))
        if api.status:
            return self._answer(None, {"code": 7, "message": "no"}, api.status)
        match self.command, path.strip("/").split("/"):
            case "GET", ["healthz"]:
                return self._answer("V2beta1GetHealthzResponse", {"multi_user": False})
            case "GET", ["experiments"]:
                (asked,) = json.loads(urllib.parse.unquote(query["filter"]))["predicates"]
                name = asked.get("stringValue", asked.get("string_value"))
                found = [one for one in api.experiments if one["display_name"] == name]
                return self._answer("V2beta1ListExperimentsResponse", {"experiments": found} if found else {})
            case "POST", ["experiments"]:
                made = {**through("V2beta1Experiment", body), "experiment_id": f"e{len(api.experiments)}"}
                api.experiments.append(made)
                return self._answer("V2beta1Experiment", made)
            case "GET", ["recurringruns"]:
                found = [one for one in api.runs if one["experiment_id"] == query["experiment_id"]]
                start = int(query.get("page_token") or 0)
                page: dict[str, Any] = {"recurringRuns": found[start : start + 2]}  # two a page
                if start + 2 < len(found):
                    page["next_page_token"] = str(start + 2)
                return self._answer("V2beta1ListRecurringRunsResponse", page)
            case "POST", ["recurringruns"]:
                through("V2beta1RecurringRun", body)
                if api.refuse or len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
                    return self._answer(None, {"code": 3, "message": "Schedule cron is not\na supported format"}, 400)
                api.made += 1
                api.runs.append({**body, "recurring_run_id": f"r{api.made}"})
                return self._answer("V2beta1RecurringRun", api.runs[-1])
            case "DELETE", ["recurringruns", name]:
                api.runs = [one for one in api.runs if one["recurring_run_id"] != name]
                return self._answer(None, {})
            case "POST", ["recurringruns", name]:
                name, _, verb = name.partition(":")
                (one,) = (one for one in api.runs if one["recurring_run_id"] == name)
                one["mode"] = {"enable": "ENABLE", "disable": "DISABLE"}[verb]
                return self._answer(None, {})
        return self._answer(None, {"message": f"no {self.path}"}, 404)

    do_GET = do_POST = do_DELETE = _act  # noqa: N815
