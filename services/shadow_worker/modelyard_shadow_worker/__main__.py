"""`python -m modelyard_shadow_worker`: settings, then the application, then serve."""

from modelyard_runtime.command_line import settings_of
from modelyard_runtime.lifecycle import serve
from modelyard_runtime.logs import configure_logs

from modelyard_shadow_worker.app import build_app
from modelyard_shadow_worker.settings import Settings


def main() -> None:
    """Serve until SIGTERM or SIGINT, unless the command line asks for something else."""
    settings = settings_of(Settings, service="shadow_worker")
    configure_logs(service="shadow_worker", level=settings.log_level, layout=settings.log_format)
    serve(build_app(settings), settings=settings)


if __name__ == "__main__":
    main()
