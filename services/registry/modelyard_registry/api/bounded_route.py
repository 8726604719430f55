"""What every operation does before its own work, in this order: permission, parameters, body.

The permission comes first, so that nobody without it has anything parsed. A parameter that the operation does not
declare, or that is there twice, is refused by name; a body is read up to its limit and parsed once, in linear time.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import Response
from fastapi.routing import APIRoute

from modelyard_registry.api.json_body import BODY_BYTES_MAX, read_json_body, refuse_any_body
from modelyard_registry.api.parameters import declared_by
from modelyard_registry.api.requirements import Requirement

Handle = Callable[[Request], Awaitable[Response]]


class BoundedRoute(APIRoute):
    """An operation whose request is judged before the framework reads it: `APIRouter(route_class=BoundedRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The framework's handler, behind ours."""
        handle: Handle = super().get_route_handler()
        dependants = list(_with_dependencies(self.dependant))
        requirements = [each.call for each in dependants if isinstance(each.call, Requirement)]
        parameters = declared_by(dependants)
        # What takes the request itself reads the body as a stream.
        is_streamed = self.dependant.request_param_name is not None
        bytes_max = getattr(self.body_field and self.body_field.field_info.annotation, "bytes_max", BODY_BYTES_MAX)

        async def judged(request: Request) -> Response:
            for requirement in requirements:
                requirement.refuse_before_reading(request)
            parameters.judge(request)
            if self.body_field is not None:
                await read_json_body(request, bytes_max=bytes_max)
            elif not is_streamed:
                await refuse_any_body(request)
            return await handle(request)

        return judged


def _with_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _with_dependencies(each)
