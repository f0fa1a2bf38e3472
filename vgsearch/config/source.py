"""The text of a configuration file, or one clear line on why there is none."""

from __future__ import annotations

from pathlib import Path

from vgsearch.config.suggestions import nearest_hint
from vgsearch.errors import ConfigError

MAX_BYTES = 1_000_000


def read_text(path: Path) -> str:
    """Read a configuration file of at most `MAX_BYTES`.

    Raises:
        ConfigError: it is missing, a folder, unreadable, too large or not UTF-8.
    """
    if path.is_dir():
        raise ConfigError([f"{path}: is a folder; name a YAML file"])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: no such file{_siblings(path)}"]) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([f"{str(path)!r}: cannot be read: {reason}"]) from error
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{path}: must have at most {MAX_BYTES} bytes; is this a configuration?"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [f"{path}:{line}: must be UTF-8 text, got byte 0x{content[error.start]:02x}; save it as UTF-8"]
        ) from error


def _siblings(path: Path) -> str:
    """The YAML file beside a missing one that is most like it, or a few of them."""
    try:
        names = sorted(file.name for file in path.parent.glob("*.y*ml"))
    except OSError:
        return ""
    some = f"; {path.parent} holds {', '.join(names[:8])}" if names else ""
    return nearest_hint(path.name, names) or some
