"""How a change gets into a running program: the code of a live function is exchanged, and nothing is imported anew."""

import ast
import functools
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType


def live_functions(module: ModuleType) -> dict[str, FunctionType]:
    """The functions of a module and the methods of its classes by qualified name, under whatever decorates them."""
    found: dict[str, FunctionType] = {}
    for value in vars(module).values():
        members = vars(value).values() if inspect.isclass(value) else [value]
        for member in members:
            function = _undecorated(member)
            if function is not None and function.__module__ == module.__name__:
                found.setdefault(function.__qualname__, function)
    return found


def code_of(tree: ast.Module, *, function: str, filename: str) -> CodeType:
    """The code of one function in a changed module."""
    for code in _codes_in(compile(tree, filename, "exec")):
        if code.co_qualname == function:
            return code
    raise LookupError(function)


def _undecorated(member: object) -> FunctionType | None:
    if isinstance(member, property):
        return _undecorated(member.fget)
    if isinstance(member, functools.cached_property):
        return _undecorated(member.func)
    if isinstance(member, staticmethod | classmethod):
        return _undecorated(member.__func__)
    unwrapped = inspect.unwrap(member) if callable(member) else member
    return unwrapped if isinstance(unwrapped, FunctionType) else None


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes_in(constant)
