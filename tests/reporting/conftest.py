from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console, RenderableType


@pytest.fixture
def printed() -> Callable[..., list[str]]:
    """Print a renderable on a terminal of some width, without colours: its lines, without trailing blanks."""

    def show(renderable: RenderableType, width: int) -> list[str]:
        file = io.StringIO()
        Console(file=file, width=width, color_system=None, force_terminal=False).print(renderable)
        return [line.rstrip() for line in file.getvalue().splitlines()]

    return show
