"""Values of the expressions that configs are written in, worked out by hand and never executed.

What is understood is closed: literals, earlier names, arithmetic on them, ``dict(...)`` and a few pure functions
of numbers and lists, and comprehensions over plain values. Everything else is an error with its line.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glomseg.errors import InvalidInputError

_MAX_DEPTH = 60
_MAX_STEPS = 300_000
_MAX_LENGTH = 100_000
_MAX_NUMBER = 2.0**63

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "int": int,
    "float": float,
    "len": len,
    "sum": sum,
    "min": min,
    "max": max,
    "range": range,
    "enumerate": enumerate,
}
_LAZY_RESULTS = (range, enumerate)

FOUND = {
    "Lambda": "a lambda",
    "Await": "an await",
    "NamedExpr": "an assignment inside an expression",
    "GeneratorExp": "a generator",
    "Compare": "a comparison",
    "FunctionDef": "a function",
    "ClassDef": "a class",
    "If": "an if",
    "For": "a loop",
    "While": "a loop",
    "With": "a with block",
    "Try": "a try block",
}
"""What kinds of Python are called in messages."""


@dataclass
class Expressions:
    """The names of one config file and the work that reading it has taken.

    Attributes
    ----------
    origin
        The file, for messages.
    names
        Earlier values by name; ``_base_`` is what the file inherits.
    """

    origin: str
    names: dict[str, Any]
    _steps: int = 0

    def error(self, node: ast.AST, what: str) -> InvalidInputError:
        """Return the error of something in the file that is not understood."""
        return InvalidInputError(
            f"config {self.origin!r}, line {getattr(node, 'lineno', '?')}: {what}. glomseg reads configs and never "
            "runs them: write the value out, or give the full config that a training leaves in its work folder"
        )

    def value(self, node: ast.expr, *, local: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
        """Return the value of an expression; `local` are the names that comprehensions around it bind."""
        self._steps += 1
        if self._steps > _MAX_STEPS or depth > _MAX_DEPTH:
            raise self.error(node, "the config is nested too deeply or makes too many values")
        local = local or {}
        deeper = depth + 1
        result: Any
        match node:
            case ast.Constant(value=str() as text):
                result = self._filled(node, text)
            case ast.Constant(value=None | bool() | int() | float()):
                result = node.value
            case ast.Name(id=name):
                result = self._named(node, name, local)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                result = list(self._elements(elements, local, deeper))
                result = tuple(result) if isinstance(node, ast.Tuple) else result
            case ast.Dict():
                result = self._dict(node, local, deeper)
            case ast.Set(elts=[ast.Set(elts=[ast.Attribute() | ast.Name() as inner])]):  # {{_base_.name}}
                result = self.value(inner, local=local, depth=deeper)
            case ast.UnaryOp(op=op, operand=operand):
                result = self._apply(node, _UNARY.get(type(op)), self.value(operand, local=local, depth=deeper))
            case ast.BinOp():
                result = self._binary(node, local, deeper)
            case ast.Attribute() | ast.Subscript():
                result = self._member(node, local, deeper)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                chosen = body if self.value(test, local=local, depth=deeper) else orelse
                result = self.value(chosen, local=local, depth=deeper)
            case ast.Call():
                result = self._call(node, local, deeper)
            case ast.ListComp(elt=element, generators=generators):
                result = [
                    self.value(element, local=inside, depth=deeper) for inside in self._loops(generators, local, deeper)
                ]
            case ast.DictComp(key=key, value=item, generators=generators):
                result = {
                    self._key(key, inside, deeper): self.value(item, local=inside, depth=deeper)
                    for inside in self._loops(generators, local, deeper)
                }
            case ast.JoinedStr(values=parts):
                result = "".join(self._text_part(part, local, deeper) for part in parts)
            case _:
                raise self.error(node, f"{FOUND.get(type(node).__name__, ast.unparse(node)[:60])} is not a plain value")
        return self._bounded(node, result)

    def _named(self, node: ast.AST, name: str, local: Mapping[str, Any]) -> Any:
        if name in local:
            return local[name]
        if name not in self.names:
            raise self.error(node, f"{name!r} is no value that was given before")
        return self.names[name]

    def _filled(self, node: ast.AST, text: str) -> str:
        """Return a text with every ``{{ _base_.name }}`` in it replaced by that value."""
        start = text.find("{{")
        while start >= 0:
            end = text.find("}}", start)
            inside = text[start + 2 : end].strip()
            if end < 0 or not inside.startswith("_base_."):
                return text
            value: Any = self.names["_base_"]
            for part in inside.split(".")[1:]:
                value = self._get(node, value, part)
            text = f"{text[:start]}{value}{text[end + 2 :]}"
            start = text.find("{{", start + len(str(value)))
        return text

    def _elements(self, nodes: list[ast.expr], local: Mapping[str, Any], depth: int) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self._iterable(node.value, local, depth)
            else:
                yield self.value(node, local=local, depth=depth)

    def _dict(self, node: ast.Dict, local: Mapping[str, Any], depth: int) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.value(item, local=local, depth=depth)
            if key is None:
                result |= self._plain_dict(item, value)
            else:
                result[self._key(key, local, depth)] = value
        return result

    def _key(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> Any:
        key = self.value(node, local=local, depth=depth)
        if not isinstance(key, (str, int, float)):
            raise self.error(node, f"a key has to be a text or a number, not {key!r}")
        return key

    def _plain_dict(self, node: ast.AST, value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise self.error(node, "what follows ** is not a dict")
        return value

    def _binary(self, node: ast.BinOp, local: Mapping[str, Any], depth: int) -> Any:
        left = self.value(node.left, local=local, depth=depth)
        right = self.value(node.right, local=local, depth=depth)
        if isinstance(node.op, ast.Pow):
            if not isinstance(left, (int, float)) or not isinstance(right, (int, float)) or abs(right) > 64:
                raise self.error(node, "such a power is not worked out")
            return self._apply(node, operator.pow, float(left) if abs(left) > 2**16 else left, right)
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            raise self.error(node, "formatting of texts is not worked out")
        for sequence, count in ((left, right), (right, left)):
            if isinstance(sequence, (str, list, tuple)) and isinstance(count, int):
                self._bounded(node, range(len(sequence) * max(count, 0)))
        return self._apply(node, _BINARY.get(type(node.op)), left, right)

    def _apply(self, node: ast.expr, function: Callable[..., Any] | None, *values: Any, **named: Any) -> Any:
        if function is None:
            raise self.error(node, f"{ast.unparse(node)[:60]} is not worked out")
        try:
            return function(*values, **named)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self.error(node, f"{ast.unparse(node)[:60]} cannot be worked out ({error})") from error

    def _member(self, node: ast.Attribute | ast.Subscript, local: Mapping[str, Any], depth: int) -> Any:
        holder = self.value(node.value, local=local, depth=depth)
        if isinstance(node, ast.Attribute):
            return self._get(node, holder, node.attr)
        if isinstance(node.slice, ast.Slice):
            ends = (node.slice.lower, node.slice.upper, node.slice.step)
            part = slice(*(None if end is None else self.value(end, local=local, depth=depth) for end in ends))
            if not isinstance(holder, (str, list, tuple)):
                raise self.error(node, "only lists, tuples and texts have slices")
            return self._apply(node, operator.getitem, holder, part)
        return self._get(node, holder, self.value(node.slice, local=local, depth=depth))

    def _get(self, node: ast.AST, holder: Any, key: Any) -> Any:
        if not isinstance(holder, (dict, list, tuple, str)):
            raise self.error(node, f"{key!r} is asked of a {type(holder).__name__}, which has no parts")
        try:
            return holder[key]
        except (KeyError, IndexError, TypeError) as error:
            raise self.error(node, f"there is no {key!r} in what was given before") from error

    def _call(self, node: ast.Call, local: Mapping[str, Any], depth: int) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in _FUNCTIONS or name in self.names:
            raise self.error(node, f"a call of {ast.unparse(node.func)[:60]} is not a plain value")
        arguments = list(self._elements(node.args, local, depth))
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, local=local, depth=depth)
            named |= self._plain_dict(keyword.value, value) if keyword.arg is None else {keyword.arg: value}
        result = self._apply(node, _FUNCTIONS[name], *arguments, **named)
        if isinstance(result, range):
            self._bounded(node, result)
        return list(result) if isinstance(result, _LAZY_RESULTS) else result

    def _loops(
        self, generators: list[ast.comprehension], local: Mapping[str, Any], depth: int
    ) -> Iterator[Mapping[str, Any]]:
        first, *others = generators
        if first.ifs or first.is_async:
            raise self.error(first.iter, "a comprehension with a condition is not worked out")
        for item in self._iterable(first.iter, local, depth):
            inside = {**local, **self.bound(first.target, item)}
            if others:
                yield from self._loops(others, inside, depth)
            else:
                yield inside

    def bound(self, target: ast.expr, value: Any) -> dict[str, Any]:
        """Return the names that an assignment of `value` to `target` (a name, or names in a tuple) binds."""
        if isinstance(target, ast.Name):
            return {target.id: value}
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (list, tuple)):
            if len(target.elts) != len(value):
                raise self.error(target, f"{len(value)} values do not fit {len(target.elts)} names")
            pairs = [self.bound(inner, item) for inner, item in zip(target.elts, value, strict=True)]
            return {name: item for pair in pairs for name, item in pair.items()}
        raise self.error(target, f"{ast.unparse(target)[:60]} is no plain name to give a value to")

    def _iterable(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> list[Any]:
        value = self.value(node, local=local, depth=depth)
        if not isinstance(value, (list, tuple, dict, str)):
            raise self.error(node, f"{ast.unparse(node)[:60]} is not a list")
        return list(value)

    def _text_part(self, node: ast.expr, local: Mapping[str, Any], depth: int) -> str:
        match node:
            case ast.Constant(value=str() as text):
                return text
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                value = self.value(inner, local=local, depth=depth)
                if isinstance(value, (str, int, float)):
                    return str(value)
        raise self.error(node, "only plain names are filled into texts")

    def _bounded(self, node: ast.AST, value: Any) -> Any:
        """Return the value; refuse one that only an attack or a slip makes so large."""
        if (
            isinstance(value, (int, float))
            and abs(value) > _MAX_NUMBER
            and value == value
            and abs(value) != float("inf")
        ):
            raise self.error(node, "the number is too large")
        if isinstance(value, (str, list, tuple, dict, range)) and len(value) > _MAX_LENGTH:
            raise self.error(node, f"the value has more than {_MAX_LENGTH:,} parts")
        return value
