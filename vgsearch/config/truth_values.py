"""`epochs: true` must not train one epoch: pydantic reads true as 1 wherever a number is expected."""

from __future__ import annotations

from vgsearch.config.problems import Problem
from vgsearch.config.schema import Shape, field_shape
from vgsearch.config.tree import Node, contents
from vgsearch.config.wording import expected, show


def check_truth_values(node: Node, shape: Shape, keys: tuple[str, ...] = ()) -> list[Problem]:
    """Every true or false that stands where a number belongs, in a decided tree of type `shape`."""
    if isinstance(node.content, dict):
        model = shape.model_for(contents(node.content))
        return [
            problem
            for key, child in node.content.items()
            if model is not None
            for problem in check_truth_values(child, field_shape(model, key), (*keys, key))
        ]
    takes_number = int in shape.members or float in shape.members
    if isinstance(node.content, bool) and takes_number and bool not in shape.members:
        return [Problem(node.place, keys, f"must be {expected(shape)}, got {show(node.content)}")]
    return []
