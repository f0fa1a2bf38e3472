"""Commands of which one need not be named: `vgsearch translate IN OUT` beside `translate train`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

DEFAULT_COMMAND = "photos"


class DefaultCommandGroup(TyperGroup):
    """Runs `DEFAULT_COMMAND` where the first word is no command and no request for help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command in where it was left out."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)
