"""What concerns all tests: which of them share a worker."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests go to one worker, and all files that look at the one small run to the same, so that it is made once."""
    watching = {item.path for item in items if "watched" in getattr(item, "fixturenames", ())}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("watched" if item.path in watching else str(item.path)))
