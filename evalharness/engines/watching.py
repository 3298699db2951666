"""Tells a broken server from a failed request, so that a run ends at once instead of failing every prompt."""

from __future__ import annotations

from evalharness.engines.served import ServedModel
from evalharness.generation_records import ErrorKind
from golden_sets.errors import InfrastructureError

LEAST_IN_A_ROW = 16


class ServerWatch:
    """Counts failures in a row over all requests of one run.

    Args:
        served: the server that is watched.
        concurrency: requests in flight; twice as many failures in a row end the run.
        count_client_errors: whether 4xx replies count: not for prompts (one may be at fault), but for a judge's.
    """

    def __init__(self, served: ServedModel, *, concurrency: int, count_client_errors: bool = False) -> None:
        self._served = served
        self._limit = max(LEAST_IN_A_ROW, 2 * concurrency)
        self._count_client_errors = count_client_errors
        self._in_a_row = 0

    async def note(self, error: ErrorKind | None, detail: str | None) -> None:
        """Take note of a finished request.

        Raises:
            InfrastructureError: no server is left, or nothing but errors came back for a long while.
        """
        if error is None:
            self._in_a_row = 0
            return
        if error in (ErrorKind.CONNECTION, ErrorKind.CUT_SHORT):
            await self._served.check_alive()
        if self._count_client_errors or not error.is_client_error:
            self._in_a_row += 1
        if self._in_a_row >= self._limit:
            raise InfrastructureError(
                f"the last {self._in_a_row} requests to '{self._served.name}' all failed ({error.value}: {detail})",
                where=", ".join(self._served.urls),
                do="see the engine's log; everything finished is stored, run again to go on",
            )
