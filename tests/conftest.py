"""What concerns all tests: which of them share a worker."""

import pytest
from xdist.scheduler import LoadFileScheduling

_OF_ONE_RUN = {f"tests/e2e/test_{name}.py" for name in ("explain", "operations", "report", "run")}  # see tests/e2e/conftest.py


class _Scheduling(LoadFileScheduling):
    """A file's tests go to one worker, and all files of `make test` that look at the one small run to the same, so that it is made once.

    xdist's own groups are no way: with pytest 9.2 their markers have no effect, and every test went anywhere.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "the one run" if file in _OF_ONE_RUN else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scheduling | None:
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None
