from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from evalharness.candidate import Sampling
from evalharness.engines import ChatClient, ChatRequest, RawCompletion
from evalharness.engines.wire import EventLines, parse_retry_after, request_seed
from evalharness.generation_records import ErrorKind

if TYPE_CHECKING:
    from tests.evalharness.conftest import FakeServer, Reply

REQUEST = ChatRequest("fake", [("user", "hello")], Sampling(max_tokens=8))


@pytest.fixture
async def client() -> AsyncIterator[ChatClient]:
    async with ChatClient(timeout_s=2.0) as opened:
        yield opened


async def ask(client: ChatClient, server: FakeServer, reply: Reply, request: ChatRequest = REQUEST) -> RawCompletion:
    server.reply = lambda _number, _body: reply
    return await client.complete(server.url, request)


async def test_a_proper_answer_has_text_tokens_and_times(
    client: ChatClient, fake_server: FakeServer, fake: Any
) -> None:
    raw = await ask(
        client,
        fake_server,
        fake.stream(
            0.1, fake.delta(""), fake.delta("one "), 0.2, fake.delta("two"), fake.delta("", "stop"), fake.usage(5, 3),
            1.0, fake.DONE,
        ),
    )  # fmt: skip
    assert (raw.text, raw.finish_reason, raw.error) == ("one two", "stop", None)
    assert (raw.prompt_tokens, raw.output_tokens) == (5, 3)
    assert raw.ttft_s is not None
    assert raw.tpot_s is not None
    assert 0.1 <= raw.ttft_s < 0.3
    assert 0.1 <= raw.tpot_s < 0.5, "the 0.2 s between first and last token, over two tokens after the first"
    assert 0.3 <= raw.e2e_s < 1.0, "up to the last token, not to the end of the stream"


async def test_the_request_says_everything_that_was_asked(client: ChatClient, fake_server: FakeServer) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, stop=("\n",))
    request = ChatRequest("m", [("system", "s"), ("user", "u")], sampling, seed=3, top_logprobs=5, extra={"n": 1})
    await client.complete(fake_server.url, request)
    assert fake_server.bodies == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "stop": ["\n"],
            "seed": 3,
            "logprobs": True,
            "top_logprobs": 5,
            "stream": True,
            "stream_options": {"include_usage": True},
            "n": 1,
        }
    ]


async def test_the_bearer_token_is_sent(fake_server: FakeServer) -> None:
    async with ChatClient(api_key="secret") as client:
        await client.complete(fake_server.url, REQUEST)
    assert fake_server.headers[0]["Authorization"] == "Bearer secret"


async def test_bytes_may_be_cut_anywhere(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    text = "zwölf \u2028 Boxkämpfer \N{SNOWMAN} \x85"
    events = [fake.delta(text[:7]), fake.delta(text[7:]), fake.delta(None, "stop"), fake.usage(1, 2), fake.DONE]
    data = b": keep-alive\n\n" + b"".join(json_utf8(e) for e in events).replace(b"\n", b"\r\n")
    parts: list[bytes | float] = []
    for i in range(0, len(data), 7):
        parts += [data[i : i + 7], 0.0]
    raw = await ask(client, fake_server, fake.stream(*parts))
    assert (raw.text, raw.error) == (text, None)


def json_utf8(event: bytes) -> bytes:
    """The same event with its text as UTF-8 instead of escapes, so that cuts fall into characters."""
    payload = event[6:].strip()
    if payload == b"[DONE]":
        return event
    return b"data: " + json.dumps(json.loads(payload), ensure_ascii=False).encode() + b"\n\n"


async def test_an_empty_answer_is_an_answer(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    raw = await ask(
        client, fake_server, fake.stream(fake.delta(""), fake.delta("", "stop"), fake.usage(5, 1), fake.DONE)
    )
    assert (raw.text, raw.error, raw.finish_reason, raw.tpot_s) == ("", None, "stop", None)
    assert raw.ttft_s is not None


async def test_without_counts_there_is_no_time_per_token(
    client: ChatClient, fake_server: FakeServer, fake: Any
) -> None:
    raw = await ask(client, fake_server, fake.stream(fake.delta("a"), fake.delta("b", "length"), fake.DONE))
    assert (raw.error, raw.finish_reason, raw.output_tokens, raw.tpot_s) == (None, "length", None, None)


async def test_logprobs_come_with_their_alternatives(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    token = {
        "token": "5",
        "logprob": -0.25,
        "bytes": [53],
        "top_logprobs": [{"token": "4", "logprob": -1.5, "bytes": []}],
    }
    raw = await ask(
        client,
        fake_server,
        fake.stream(
            fake.delta("5", logprobs={"content": [token]}), fake.delta("", "stop"), fake.usage(5, 1), fake.DONE
        ),
    )
    assert raw.logprobs is not None
    assert (raw.logprobs[0].token, raw.logprobs[0].logprob) == ("5", -0.25)
    assert [(t.token, t.logprob) for t in raw.logprobs[0].top_logprobs] == [("4", -1.5)]


async def test_a_reply_that_is_not_streamed(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    whole = {
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    reply = fake.status(200, json.dumps(whole), {"Content-Type": "application/json"})
    raw = await ask(client, fake_server, reply, ChatRequest("fake", [("user", "x")], Sampling(), stream=False))
    assert (raw.text, raw.finish_reason, raw.output_tokens, raw.ttft_s, raw.error) == ("hi", "stop", 1, None, None)
    assert "stream" not in fake_server.bodies[0]


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (400, "context length exceeded", ErrorKind.HTTP_4XX),
        (404, "no such model", ErrorKind.HTTP_4XX),
        (400, '{"error": {"code": "content_filter"}}', ErrorKind.REFUSED_BY_SERVER),
        (403, "violates our content policy", ErrorKind.REFUSED_BY_SERVER),
        (408, "", ErrorKind.TIMEOUT),
        (429, "slow down", ErrorKind.RATE_LIMITED),
        (500, "boom", ErrorKind.HTTP_5XX),
        (503, "busy", ErrorKind.HTTP_5XX),
        (500, "torch.OutOfMemoryError: CUDA out of memory.", ErrorKind.OOM),
        (302, "", ErrorKind.MALFORMED),
    ],
)
async def test_a_status_becomes_an_error_kind(
    client: ChatClient, fake_server: FakeServer, fake: Any, code: int, text: str, kind: ErrorKind
) -> None:
    raw = await ask(client, fake_server, fake.status(code, text))
    assert (raw.error, raw.finish_reason, raw.ttft_s, raw.began) == (kind, None, None, False)
    assert raw.error_detail is not None
    assert str(code) in raw.error_detail


async def test_a_long_error_page_becomes_one_short_line(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    raw = await ask(client, fake_server, fake.status(500, "<html>\n" * 5000))
    assert raw.error_detail is not None
    assert len(raw.error_detail) <= 300
    assert "\n" not in raw.error_detail


async def test_a_stream_cut_short_keeps_what_came(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    without_finish = await ask(client, fake_server, fake.stream(fake.delta("half"), fake.DONE))
    without_done = await ask(client, fake_server, fake.stream(fake.delta("half"), fake.delta("", "stop")))
    torn = await ask(client, fake_server, fake.stream(fake.delta("half"), 0.05, broken=True))
    for raw in (without_finish, without_done, torn):
        assert (raw.error, raw.text, raw.finish_reason, raw.began) == (ErrorKind.CUT_SHORT, "half", None, True)


async def test_an_aborted_request_is_cut_short(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    raw = await ask(client, fake_server, fake.stream(fake.delta("half"), fake.delta("", "abort"), fake.DONE))
    assert (raw.error, raw.finish_reason) == (ErrorKind.CUT_SHORT, None)


async def test_a_connection_torn_before_any_reply(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    raw = await ask(client, fake_server, fake.stream(broken=True))
    assert (raw.error, raw.began) == (ErrorKind.CONNECTION, False)


async def test_a_refused_connection(client: ChatClient, fake_server: FakeServer) -> None:
    url = fake_server.url
    await fake_server.stop()
    raw = await client.complete(url, REQUEST)
    assert (raw.error, raw.began) == (ErrorKind.CONNECTION, False)


async def test_a_server_that_stalls_is_a_timeout(fake_server: FakeServer, fake: Any) -> None:
    async with ChatClient(timeout_s=0.2) as client:
        raw = await ask(client, fake_server, fake.stream(fake.delta("half"), 5.0, fake.DONE))
    assert (raw.error, raw.text, raw.began) == (ErrorKind.TIMEOUT, "half", True)
    assert 0.2 <= raw.e2e_s < 4.0


@pytest.mark.parametrize("data", [b"data: {not json}\n\n", b'data: {"choices": 7}\n\n', b"data: []\n\n"])
async def test_a_malformed_event(client: ChatClient, fake_server: FakeServer, fake: Any, data: bytes) -> None:
    raw = await ask(client, fake_server, fake.stream(fake.delta("a"), data, fake.DONE))
    assert raw.error is ErrorKind.MALFORMED


async def test_a_page_that_is_no_completion(client: ChatClient, fake_server: FakeServer, fake: Any) -> None:
    raw = await ask(client, fake_server, fake.status(200, "<html>login</html>", {"Content-Type": "text/html"}))
    assert raw.error is ErrorKind.MALFORMED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "CUDA out of memory", "code": 500}, ErrorKind.OOM),
        ({"message": "engine died", "type": "InternalServerError"}, ErrorKind.HTTP_5XX),
        ({"message": "bad parameter", "code": 400}, ErrorKind.HTTP_4XX),
        ("plain text", ErrorKind.HTTP_5XX),
    ],
)
async def test_an_error_in_the_middle_of_a_stream(
    client: ChatClient, fake_server: FakeServer, fake: Any, error: Any, kind: ErrorKind
) -> None:
    raw = await ask(client, fake_server, fake.stream(fake.delta("a"), fake.event({"error": error}), fake.DONE))
    assert (raw.error, raw.finish_reason, raw.text) == (kind, None, "a")


async def test_connections_are_kept_and_used_again(client: ChatClient, fake_server: FakeServer) -> None:
    peers = set()
    original = fake_server.reply

    def remember(number: int, body: dict[str, Any]) -> Reply:
        inner = original(number, body)

        async def reply(request: Any) -> Any:
            peers.add(request.transport.get_extra_info("peername"))
            return await inner(request)

        return reply

    fake_server.reply = remember
    for _ in range(5):
        assert (await client.complete(fake_server.url, REQUEST)).error is None
    assert len(peers) == 1


def test_an_event_without_end_is_refused() -> None:
    lines = EventLines()
    for _ in range(7):
        assert lines.feed(b"x" * 2**20) == []
    with pytest.raises(ValueError, match="more than"):
        lines.feed(b"x" * 2**21)


def test_retry_after_is_a_number_or_a_date() -> None:
    assert parse_retry_after("2.5") == 2.5
    assert parse_retry_after("-1") == 0.0
    in_ten = parse_retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True))
    assert in_ten is not None
    assert 8 < in_ten <= 10
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


def test_repeats_have_seeds_of_their_own() -> None:
    assert [request_seed(Sampling(seed=7), k) for k in range(3)] == [7, 8, 9]
    assert [request_seed(Sampling(seed=None), k) for k in range(3)] == [None, 1, 2]
