"""`python -m modelyard_cache_invalidator`: settings, then the application, then serve."""

from modelyard_runtime.command_line import settings_of
from modelyard_runtime.lifecycle import serve
from modelyard_runtime.logs import configure_logs

from modelyard_cache_invalidator.app import build_app
from modelyard_cache_invalidator.settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT, unless the command line asks for something else."""
    settings = settings_of(Settings, service="cache_invalidator")
    configure_logs(service="cache_invalidator", level=settings.log_level, layout=settings.log_format)
    serve(build_app(settings), settings=settings)


if __name__ == "__main__":
    main()
