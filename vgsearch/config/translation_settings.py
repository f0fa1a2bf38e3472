"""`--set KEY=VALUE` of `vgsearch translate train`: settings of a translator's training, checked together."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from vgsearch.config.suggestions import nearest_hint
from vgsearch.config.translation import TranslationConfig
from vgsearch.errors import ConfigError

_NOTHING = ("null", "none")


def translation_settings(settings: Sequence[str], domains: tuple[str, str]) -> TranslationConfig:
    """Read settings.

    Args:
        settings: each `key=value`; what is left out has its default, and the last one of a key counts.
        domains: names of both domains.

    Raises:
        ConfigError: every setting that is wrong, in one line each.
    """
    values: dict[str, object] = {"domains": domains}
    keys = [key for key in TranslationConfig.model_fields if key != "domains"]
    problems = []
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not value:
            problems.append(f"--set must look like KEY=VALUE, got {setting!r}")
        elif key not in keys:
            problems.append(f"--set {key}: no such key{nearest_hint(key, keys)}; keys are {', '.join(keys)}")
        else:
            values[key] = None if value.lower() in _NOTHING else value
    if problems:
        raise ConfigError(problems)
    try:
        return TranslationConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            [_in_words(details["loc"], details["msg"], values) for details in error.errors()]
        ) from error


def _in_words(place: tuple[int | str, ...], message: str, values: dict[str, object]) -> str:
    text = message.removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    if not place:
        return f"--set: {text}"
    key = str(place[0])
    if key == "domains":
        return f"--names {text}"
    return f"--set {key}: {text}, got {values[key]!r}"
