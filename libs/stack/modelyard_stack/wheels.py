"""Where an installed package keeps its files, without importing it: only its binaries are wanted."""

from importlib.util import find_spec
from pathlib import Path

from modelyard_stack.errors import StackError


def file_in_package(package: str, *, pattern: str) -> Path:
    """The one file of `package` that matches the glob `pattern`; raises `StackError` when it is not there."""
    spec = find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(root).glob(pattern):
            return found
    raise StackError(
        f"The package {package} has no {pattern} on this machine. Run `make setup` again; if that does not "
        "help, use the servers of docker-compose.yml with MODELYARD_STACK=external."
    )
