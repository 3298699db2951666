"""A model that is being served: where, under which id, and is it the right one?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from evalharness.loaded_files import LoadedFiles
from golden_sets.errors import InfrastructureError, InputError

_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One candidate behind one or more servers."""

    name: str
    """Name of the candidate."""
    model_id: str
    """Id that requests name."""
    urls: tuple[str, ...]
    """Base addresses, each ending in ``/v1``."""
    engine_version: str | None = None
    """Version of the serving engine, where it says so."""
    api_key: str | None = field(default=None, repr=False)
    """Bearer token."""
    check_process: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    """Raises :class:`InfrastructureError` when the server's process, where it is ours, has died."""
    files: LoadedFiles | None = field(default=None, repr=False, compare=False)
    """What it was loaded from, where that is at hand."""
    declined: set[str] = field(default_factory=set, repr=False, compare=False)
    """Keys of a judge's request that the server does not take, as found out so far."""

    async def check_alive(self) -> None:
        """Make sure that at least one server still answers.

        Raises:
            InfrastructureError: our process died, or no address accepts a connection.
        """
        if self.check_process is not None:
            self.check_process()
        async with _session(self.api_key) as session:
            replies = await asyncio.gather(*(_model_ids(session, url) for url in self.urls), return_exceptions=True)
        if all(isinstance(r, Exception) for r in replies):
            raise InfrastructureError(
                f"no server of '{self.name}' answers ({replies[0]})",
                where=", ".join(self.urls),
                do="see the engine's log; everything finished is stored, run again to go on",
            )


async def verify_served(served: ServedModel) -> None:
    """Check that every address serves the model id that requests will name.

    Raises:
        InfrastructureError: an address does not answer.
        InputError: an address serves other models.
    """
    async with _session(served.api_key) as session:
        for url in served.urls:
            try:
                ids = await _model_ids(session, url)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise InfrastructureError(
                    f"the server of '{served.name}' does not answer GET /models ({error or type(error).__name__})",
                    where=url,
                    do="check that it is up and that the address ends in /v1",
                ) from error
            if served.model_id not in ids:
                raise InputError(
                    f"the server offers {', '.join(sorted(ids)) or 'no model'}, not '{served.model_id}'",
                    where=url,
                    do="set runtime.served_model in the candidate file to the id that it is served under",
                )


async def engine_version(url: str, api_key: str | None = None) -> str | None:
    """What ``GET /version`` beside ``/v1`` says (vLLM has it); None where there is no such thing."""
    try:
        async with _session(api_key) as session, session.get(f"{url.removesuffix('/v1')}/version") as response:
            if response.status != 200:
                return None
            version = (await response.json()).get("version")
    except (aiohttp.ClientError, OSError, ValueError, AttributeError):
        return None
    return None if version is None else str(version)


def _session(api_key: str | None) -> aiohttp.ClientSession:
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
    return aiohttp.ClientSession(timeout=_PROBE_TIMEOUT, headers=headers)


async def _model_ids(session: aiohttp.ClientSession, url: str) -> set[str]:
    async with session.get(f"{url}/models") as response:
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}")
        reply: Any = await response.json(content_type=None)
    try:
        return {str(model["id"]) for model in reply["data"]}
    except (TypeError, KeyError) as error:
        raise ValueError("the reply is no list of models") from error
