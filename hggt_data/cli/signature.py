"""Reads the parameters of a function or a settings class, with their help, from the source text.

Nothing is imported: importing torch alone takes seconds, and `--help` must answer at once. It understands the forms
that the signatures of this project have; `tests/test_commands.py` compares the result with what Python itself says.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]  # the three packages are brothers here
_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float, "str": str, "Path": Path}
REQUIRED: Any = object()


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, or a field of a settings class.

    Attributes:
        kind: `bool`, `int`, `float`, `str` or `Path`; None for other types.
        choices: the values of a `Literal`.
        range: the bounds of an annotated `Range`, both included.
        is_repeated: whether it is a sequence; `kind` and `choices` are then those of its items.
        settings: the parameter's own settings class (`package.module:Name`), whose fields are options, too.
    """

    name: str
    help: str
    default: Any = REQUIRED
    kind: type | None = None
    choices: tuple[str, ...] = ()
    range: tuple[float | None, float | None] | None = None
    is_repeated: bool = False
    settings: str | None = None


@cache
def read_parameters(target: str) -> tuple[Parameter, ...]:
    """The parameters of `package.module:Name`, in their order."""
    module_name, _, name = target.partition(":")
    module, node = _Module.of(module_name).find(name)
    return tuple(_read_class(module, node) if isinstance(node, ast.ClassDef) else _read_function(module, node))


def _read_class(module: "_Module", node: ast.ClassDef) -> Iterator[Parameter]:
    """The fields of a dataclass, those of its bases first."""
    for base in node.bases:
        owner, found = module.find(ast.unparse(base))
        if isinstance(found, ast.ClassDef):
            yield from _read_class(owner, found)
    helps = read_entries(ast.get_docstring(node) or "")
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            yield module.parameter(line.target.id, line.annotation, line.value, helps)


def _read_function(module: "_Module", node: ast.AST | None) -> Iterator[Parameter]:
    assert isinstance(node, ast.FunctionDef), "expected a function or a class"
    helps = read_entries(ast.get_docstring(node) or "")
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(positional) - len(node.args.defaults)) + node.args.defaults
    for argument, default in [
        *zip(positional, defaults, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]:
        assert argument.annotation is not None
        yield module.parameter(argument.arg, argument.annotation, default, helps)


def read_entries(docstring: str) -> dict[str, str]:
    """The entries of a Google docstring's `Args:` or `Attributes:`, each on one line."""
    section = re.search(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)*)", cleandoc(docstring) + "\n", re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): ((?:.*\n)(?: {5,}.*\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: re.sub(r"\.?\s+\[(default.*)\]\.?$", r".  [\1]", " ".join(text.split())) for name, text in entries}


@dataclass(frozen=True)
class _Module:
    """The names that a module's source binds: definitions, assignments and imports."""

    name: str
    bound: dict[str, ast.AST]

    @staticmethod
    @cache
    def of(name: str) -> "_Module":
        path = _ROOT.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        bound: dict[str, ast.AST] = {}
        body = ast.parse(path.read_text("utf-8")).body
        for node in body:
            if isinstance(node, ast.If):  # TYPE_CHECKING
                body += node.body
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                bound |= {target.id: node.value for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.ImportFrom):
                bound |= {alias.asname or alias.name: node for alias in node.names}
        return _Module(name, bound)

    def find(self, name: str) -> "tuple[_Module, ast.AST | None]":
        """The definition of a name and the module that has it; None if the project does not define it."""
        node = self.bound.get(name)
        if not isinstance(node, ast.ImportFrom):
            return self, node
        module = node.module or ""
        if not module.startswith("hggt_"):
            return self, None
        original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
        return _Module.of(module).find(original)

    def parameter(self, name: str, annotation: ast.AST, default: ast.AST | None, helps: dict[str, str]) -> Parameter:
        """A parameter as its signature and its entry in the docstring describe it."""
        value = REQUIRED if default is None else self.evaluate(default)
        return Parameter(name, helps.get(name, ""), value, **self.describe_type(annotation))

    def describe_type(self, node: ast.AST) -> dict[str, Any]:
        """`kind`, `choices`, `range`, `is_repeated` and `settings` of an annotation; nothing for other types."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.describe_type(ast.parse(node.value, mode="eval").body)
        if isinstance(node, ast.Name) and node.id in _TYPES:
            return {"kind": _TYPES[node.id]}
        if isinstance(node, ast.Name):
            owner, found = self.find(node.id)
            if isinstance(found, ast.ClassDef):
                is_settings = any("dataclass" in ast.unparse(decorator) for decorator in found.decorator_list)
                return {"settings": f"{owner.name}:{found.name}"} if is_settings else {}
            return {} if found is None else owner.describe_type(found)
        if isinstance(node, ast.BinOp):  # X | None, or str | Path
            sides = [self.describe_type(side) for side in (node.left, node.right)]
            return next((side for side in sides if side.get("kind") is Path), None) or next(filter(None, sides), {})
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if node.value.id == "Literal":
                return {"kind": str, "choices": tuple(ast.literal_eval(item) for item in items)}
            if node.value.id == "Annotated" and isinstance(bounds := items[1], ast.Call):
                if ast.unparse(bounds.func) != "Range":
                    return {}
                low, high = [*map(self.evaluate, bounds.args), None, None][:2]
                return {**self.describe_type(items[0]), "range": (low, high)}
            if node.value.id in ("tuple", "Sequence", "Collection"):
                item = self.describe_type(items[0])
                return {"is_repeated": True, **{key: value for key, value in item.items() if key != "settings"}}
        return {}

    def evaluate(self, node: ast.AST) -> Any:
        """A default that is a literal, or a name that was given one; None for others, which help does not show."""
        if isinstance(node, ast.Name):
            owner, found = self.find(node.id)
            return None if found is None else owner.evaluate(found)
        if isinstance(node, ast.Tuple):
            return tuple(map(self.evaluate, node.elts))
        try:
            return ast.literal_eval(node)
        except ValueError:
            return None
