from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalharness.candidate import Candidate, Runtime
from evalharness.engines import ServedModel, fingerprint, open_engine, verify_served
from golden_sets.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from tests.evalharness.conftest import FakeServer

MakeCandidate = Callable[..., Candidate]


async def test_endpoints_that_serve_the_candidate_are_opened(
    fake_server: FakeServer, second_server: FakeServer, make_candidate: MakeCandidate, tmp_path: Path
) -> None:
    candidate = make_candidate((fake_server.url + "/", second_server.url))
    async with open_engine(candidate, log_dir=tmp_path) as served:
        assert served.urls == (fake_server.url, second_server.url)
        assert served.model_id == "fake"
        assert served.engine_version is None


async def test_a_server_of_another_model_is_refused(
    fake_server: FakeServer, second_server: FakeServer, make_candidate: MakeCandidate, tmp_path: Path
) -> None:
    second_server.models = ["other-7b"]
    with pytest.raises(InputError, match=r"offers other-7b, not 'fake'"):
        async with open_engine(make_candidate((fake_server.url, second_server.url)), log_dir=tmp_path):
            pass


async def test_a_server_that_is_down_is_an_infrastructure_error(
    fake_server: FakeServer, make_candidate: MakeCandidate, tmp_path: Path
) -> None:
    await fake_server.stop()
    with pytest.raises(InfrastructureError, match="does not answer"):
        async with open_engine(make_candidate((fake_server.url,)), log_dir=tmp_path):
            pass


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        (Runtime(), "no address"),
        (Runtime(urls=("localhost:8000",)), "not an http address"),
        (Runtime(urls=("file:///etc/passwd",)), "not an http address"),
        (Runtime(urls=("http://127.0.0.1:1/v1",), api_key_env="RELGATE_TEST_UNSET"), "RELGATE_TEST_UNSET is empty"),
    ],
)
async def test_a_runtime_that_cannot_work_is_an_input_error(
    make_candidate: MakeCandidate, tmp_path: Path, runtime: Runtime, message: str
) -> None:
    candidate = make_candidate().model_copy(update={"runtime": runtime})
    with pytest.raises(InputError, match=message):
        async with open_engine(candidate, log_dir=tmp_path):
            pass


def test_the_bearer_token_is_not_shown() -> None:
    assert "hunter2" not in repr(ServedModel("m", "m", ("http://x/v1",), api_key="hunter2"))


async def test_a_list_of_models_that_is_none(fake_server: FakeServer, served: ServedModel) -> None:
    fake_server.models = []
    with pytest.raises(InputError, match="no model"):
        await verify_served(served)


async def test_the_fingerprint_is_stable_and_tells_models_apart(
    fake_server: FakeServer, served: ServedModel, fake: Any
) -> None:
    def reply_with(logprob: float) -> Any:
        token = {"token": "x", "logprob": logprob, "top_logprobs": []}
        return fake.stream(fake.delta("x", "stop", logprobs={"content": [token]}), fake.usage(1, 1), fake.DONE)

    seen = []
    for logprob in (-0.5, -0.51, -2.0):
        fake_server.reply = lambda _number, _body, lp=logprob: reply_with(lp)  # type: ignore[misc]
        seen.append(await fingerprint(served))
    assert seen[0] == seen[1] != seen[2]
    assert seen[0].startswith("logprobs:sha256:")


async def test_a_server_without_logprobs_is_fingerprinted_by_text(
    fake_server: FakeServer, served: ServedModel, fake: Any
) -> None:
    fake_server.reply = lambda _number, body: fake.status(400) if "logprobs" in body else fake.answer(fake.echo(body))
    first = await fingerprint(served)
    assert first.startswith("text:sha256:")
    fake_server.reply = lambda _number, body: fake.status(400) if "logprobs" in body else fake.answer("other")
    assert await fingerprint(served) != first


async def test_a_failing_probe_is_an_infrastructure_error(
    fake_server: FakeServer, served: ServedModel, fake: Any
) -> None:
    fake_server.reply = lambda _number, _body: fake.status(500, "boom")
    with pytest.raises(InfrastructureError, match="boom"):
        await fingerprint(served)
