"""An MLflow client that a kill cuts off at any of its calls."""

from __future__ import annotations

from typing import Any


class DiesAfter:
    """A client that is killed at its nth call, before or after the call takes effect."""

    def __init__(self, client: Any, calls: int, *, after: bool) -> None:
        self._client, self._left, self._after = client, calls, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise KeyboardInterrupt
            result = real(*args, **kwargs)
            if self._left == 0:
                raise KeyboardInterrupt
            return result

        return call
