"""`make bench`: every speed claim beside its reference. Name benchmarks to run only those."""

import argparse
import importlib
import sys
import time
import traceback

from benchmarks.report import Line, print_lines, progress

BENCHMARKS = ("decision", "router_http", "register", "sizes", "promotion", "purge", "relay", "predict")
AGAINST_MLFLOW = ("register", "sizes")


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="benchmark", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--without-mlflow",
        action="store_true",
        help="do not install or start MLflow: register and sizes without a reference",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names).difference(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    began_at = time.perf_counter()
    failed = [
        name for name in arguments.names or BENCHMARKS if not _print(name, without_mlflow=arguments.without_mlflow)
    ]
    progress(f"measured in {time.perf_counter() - began_at:.0f} s")
    if failed:
        sys.exit(f"could not be measured: {', '.join(failed)}")


def _print(name: str, *, without_mlflow: bool) -> bool:
    """Measure and print; False when that failed, which must not cost the figures of the others."""
    try:
        title, lines = _measure(name, without_mlflow=without_mlflow)
    except Exception:
        traceback.print_exc()
        return False
    print_lines(title, lines)
    return True


def _measure(name: str, *, without_mlflow: bool) -> tuple[str, list[Line]]:
    module = importlib.import_module(f"benchmarks.{name}")
    measure = module.measure_alone if without_mlflow and name in AGAINST_MLFLOW else module.measure
    return (module.__doc__ or name).strip().splitlines()[0], measure()


if __name__ == "__main__":
    main()
