"""What a mutant is: one small change to a rule, such as `>=` for `>`, that a unit test must notice."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the function that it is in, what stood there and what stands there instead."""

    function: str
    line: int
    before: str
    after: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The same after lines have moved, so that a list can name a change."""
        return f"{self.function}: {self.before} -> {self.after}"


def changes_of(source: str) -> Iterator[Change]:
    """Yields every change to the functions of a module, in the order of the text."""
    tree = ast.parse(source)
    for function, name in functions_of(tree):
        for node in _nodes_of(function):
            for replaced, put in _replacements(node):
                yield Change(
                    function=name,
                    line=node.lineno,
                    before=_text(replaced),
                    after=_text(put),
                    tree=_with(tree, replaced, put),
                )


def functions_of(tree: ast.Module) -> Iterator[tuple[Function, str]]:
    """Yields the functions of a module and the methods of its classes, with their qualified names."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node, node.name
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield inner, f"{node.name}.{inner.name}"


def _nodes_of(function: Function) -> Iterator[ast.expr | ast.stmt]:
    """Yields the nodes of the function's body, without annotations and without the texts for people."""
    for statement in function.body:
        yield from _walk(statement)


def _walk(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    if isinstance(node, ast.expr | ast.stmt):
        yield node
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list"} or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _replacements(node: ast.expr | ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    if isinstance(node, ast.stmt):
        yield from _of_statement(node)
    else:
        yield from _of_expression(node)


def _of_statement(node: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield node, ast.Pass()
        case ast.Continue():
            yield node, ast.Break()
        case ast.Break():
            yield node, ast.Continue()
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield value, ast.Constant(None)
        case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield node, _changed(node, op=_ARITHMETIC[type(op)]())
        case ast.If(test=test) | ast.While(test=test) if _is_plain(test):
            yield test, _negated(test)


def _of_expression(node: ast.expr) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.Constant():
            yield from _of_constant(node)
        case ast.BoolOp() | ast.UnaryOp() | ast.BinOp():
            yield from _of_operation(node)
        case ast.IfExp(body=body, orelse=orelse):
            yield node, _changed(node, body=orelse, orelse=body)
        case ast.Call(func=ast.Name(id=called)) if called in _CALLS:
            yield node, _changed(node, func=ast.Name(_CALLS[called], ast.Load()))
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            tests = (test for part in node.generators for test in part.ifs)
            yield from ((test, _negated(test)) for test in tests if _is_plain(test))


def _of_comparison(node: ast.Compare) -> Iterator[tuple[ast.AST, ast.AST]]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            yield node, _changed(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _of_constant(node: ast.Constant) -> Iterator[tuple[ast.AST, ast.AST]]:
    if isinstance(node.value, bool):
        yield node, ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield node, ast.Constant(node.value + 1)


def _of_operation(node: ast.BoolOp | ast.UnaryOp | ast.BinOp) -> Iterator[tuple[ast.AST, ast.AST]]:
    match node:
        case ast.BoolOp(op=operator):
            yield node, _changed(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, operand
        case ast.BinOp(op=operator) if type(operator) in _ARITHMETIC:
            yield node, _changed(node, op=_ARITHMETIC[type(operator)]())


def _is_plain(test: ast.expr) -> bool:
    """Whether nothing else changes this condition: a name or a call, whose negation is a change of its own."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def _with(tree: ast.Module, replaced: ast.AST, put: ast.AST) -> ast.Module:
    """The tree with one node replaced. The nodes on the way to it are copied; the rest is shared."""
    return ast.fix_missing_locations(_Replacing(replaced, put).copy_of(tree))


@dataclass
class _Replacing:
    replaced: ast.AST
    put: ast.AST

    def copy_of(self, tree: ast.Module) -> ast.Module:
        found = self._in(tree)
        assert isinstance(found, ast.Module)
        return found

    def _in(self, node: ast.AST) -> ast.AST:
        if node is self.replaced:
            return ast.copy_location(copy.deepcopy(self.put), node)
        changed = copy.copy(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(changed, field, [self._in(each) if isinstance(each, ast.AST) else each for each in value])
            elif isinstance(value, ast.AST):
                setattr(changed, field, self._in(value))
        return changed
