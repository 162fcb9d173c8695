"""Settings from YAML, checked key by key: what training and the study share.

Decides how a file is read, which conversions are allowed (next to none), and how what is wrong becomes one line.  It
knows no setting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Self

from lhic.errors import ConfigError, LhicError, message_of
from lhic.extras import needs

with needs("train", "settings"):
    import pydantic
    import yaml
    from pydantic import AfterValidator, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]


STRICT = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Config(pydantic.BaseModel):
    """Settings with checked names and types: "1" is no number, and a misspelt key is told."""

    model_config = STRICT

    @classmethod
    def parse(cls, content: object, where: str = "configuration") -> Self:
        """Settings from what a YAML file holds.

        Raises
        ------
        ConfigError
            A key is unknown or missing, or a value has the wrong type or is out of range; the message begins with
            `where` and names the key.
        """
        if not isinstance(content, dict):
            raise ConfigError(f"{where}: expected keys and values, found {type(content).__name__}")
        try:
            return cls.model_validate_json(as_json(content))
        except pydantic.ValidationError as error:
            raise ConfigError(f"{where}: {told(error)}") from None
        except ConfigError as error:  # of those who check more than a type
            raise ConfigError(f"{where}: {error}") from None

    def to_json(self) -> dict:
        """Plain JSON types (lists, no tuples), for log files and checkpoints."""
        return self.model_dump(mode="json")


def checked(check: Callable[[Any], object]) -> AfterValidator:
    """For `Annotated`: what `check` does not refuse with an error of lhic."""

    def validate(value):
        try:
            check(value)
        except LhicError as error:
            raise ValueError(str(error)) from error
        return value

    return AfterValidator(validate)


def as_json(content: dict) -> str:
    """Content for pydantic's strict mode, which takes a list for a tuple from JSON alone."""
    return json.dumps(content, default=str)


def told(error: pydantic.ValidationError) -> str:
    """What is wrong, on one line: every key with what was expected and what was found."""
    lines = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        if detail["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key")
        elif detail["type"] == "missing":
            lines.append(f"{key}: missing key")
        else:
            message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            found = "" if "found" in message or not key else f", found {detail['input']!r:.80}"
            lines.append(f"{key}: {message}{found}" if key else message)
    return "; ".join(lines)


def read_yaml(path: str | os.PathLike) -> object:
    """Content of a YAML file without doubled keys.  Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: expected a readable configuration, found {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected YAML in UTF-8, found {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> object:
    """Content of a text without doubled keys.  Raises ConfigError, whose message begins with `where`."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: expected YAML, found {message_of(error)}") from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, which hides mistakes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} given twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
