"""Shapes in the signatures on the site: `Float[Tensor, "b *d"]`, as in the code.

Without it, the text of a shape would be shown as the product that it is not, `b * d`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import griffe


class Shapes(griffe.Extension):
    """Replace the shapes in all annotations by their texts."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Replace those of the parameters and of what is returned."""
        for annotation in (func.returns, *(one.annotation for one in func.parameters)):
            _quote_shapes(annotation)

    def on_attribute(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Replace that of an attribute."""
        _quote_shapes(attr.annotation)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Replace those of the fields of a dataclass, which are the parameters of its signature."""
        for parameter in cls.parameters:
            _quote_shapes(parameter.annotation)


def _quote_shapes(annotation: str | griffe.Expr | None) -> None:
    for part in _parts(annotation):
        if isinstance(part, griffe.ExprSubscript) and isinstance(part.slice, griffe.ExprTuple):
            kind, shape = (*part.slice.elements, None, None)[:2]
            if str(kind) == "Tensor" and isinstance(shape, griffe.Expr):
                text = str(shape).replace(" * ", " *")
                part.slice.elements = [part.slice.elements[0], f'"{text}"']


def _parts(expression: Any) -> Iterator[griffe.Expr]:
    """Yield an expression and all expressions in it."""
    if isinstance(expression, list | tuple):
        for one in expression:
            yield from _parts(one)
    elif isinstance(expression, griffe.Expr):
        yield expression
        for field in dataclasses.fields(expression):
            if field.name != "parent":
                yield from _parts(getattr(expression, field.name))
