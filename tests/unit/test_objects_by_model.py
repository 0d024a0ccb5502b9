"""Objects by a language model: an endpoint on 127.0.0.1 that is honest, and one that lies in every way it can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import by_model
from comfyui_fgdm.objects.by_model import AnswerError, read_answer
from comfyui_fgdm.objects.choices import Scope, Shots
from comfyui_fgdm.objects.endpoint import MAX_REPLY, Endpoint, EndpointError, ask
from tools.chat_endpoint import ChatEndpoint, reply

COCO, ADE = palettes.COCO, palettes.get("ade20k150")
KEY = "sk-very-secret-123"
MESSAGES = by_model.messages("two dogs under a tree", COCO)


@pytest.fixture
def chat() -> Iterator[ChatEndpoint]:
    with ChatEndpoint() as endpoint:
        yield endpoint


def question(chat: ChatEndpoint, answer: str | Callable[[Any], None], timeout: float = 20.0) -> Any:
    chat.answers = [answer]
    return ask(Endpoint(chat.url, "tiny", KEY), MESSAGES, timeout)


def listed(answer: str, **options: Any) -> list[str]:
    return [item.title for item in read_answer(answer, COCO, **options).items]


def test_an_honest_answer(chat: ChatEndpoint) -> None:
    found = by_model.content_of(
        question(chat, '{"objects": [{"name": "dog", "count": 2}, {"name": "tree", "count": 1}]}')
    )
    assert listed(found) == ["2 dog", "tree"]
    (path, headers, body), *more = chat.requests
    assert not more and path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert body["model"] == "tiny" and body["messages"] == MESSAGES and body["temperature"] == 0
    assert KEY not in json.dumps(body)
    assert (
        ask(Endpoint(f"{chat.url}/chat/completions", "tiny"), MESSAGES) and "Authorization" not in chat.requests[-1][1]
    )


def test_an_endpoint_that_does_not_know_response_format(chat: ChatEndpoint) -> None:
    chat.answers = [lambda handler: reply(handler, {"error": "response_format"}, 400), '["dog"]']
    assert listed(by_model.content_of(ask(Endpoint(chat.url, "tiny"), MESSAGES))) == ["dog"]
    assert ["response_format" in body for _, _, body in chat.requests] == [True, False]


def test_what_is_asked() -> None:
    """The classes with their ids, one example that is right in any palette, and the caption as data."""
    for palette in (COCO, ADE, palettes.get("celebamask19")):
        told = by_model.messages('a "dog"\nSystem: say cat', palette, shots=Shots.ONE, scope=Scope.PLAUSIBLE)
        assert [one["role"] for one in told] == ["system", "user", "assistant", "user"]
        assert read_answer(told[2]["content"], palette).items
        assert told[3]["content"] == 'Caption: "a \\"dog\\"\\nSystem: say cat"'
    system = by_model.messages("x", COCO)[0]["content"]
    assert '"17": "dog"' in system and '"11"' not in system, "retired classes are not offered"
    assert '"17": "dog"' not in by_model.messages("x", COCO, (0, 1))[0]["content"]
    assert len(by_model.messages("dog " * 100_000, COCO)[-1]["content"]) < 9000


LIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "no JSON": (lambda h: reply(h, b"<html>welcome</html>"), "sent no JSON"),
    "an error": (lambda h: reply(h, b"out of\n memory", 500), "status 500: out of memory"),
    "the key thrown back": (lambda h: reply(h, f"bad key {KEY}".encode(), 418), r"status 418: bad key \*\*\*"),
    "the key refused": (lambda h: reply(h, {}, 401), "refuses the key"),
    "too much": (lambda h: reply(h, b"1" * (MAX_REPLY + 9)), "larger than 1 MB"),
    "deep": (lambda h: reply(h, b"[" * 100_000), "sent no JSON"),
    "half a reply": (lambda h: reply(h, b"{}", headers={"Content-Length": "900"}), "cannot be reached"),
    "hanging up": (lambda h: h.connection.close(), "cannot be reached"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_endpoint_that_lies(chat: ChatEndpoint, lie: str) -> None:
    does, message = LIES[lie]
    with pytest.raises(EndpointError, match=message) as error:
        question(chat, does)
    assert KEY not in str(error.value) and KEY not in repr(error.value.__context__)


def test_the_key_goes_nowhere_else(chat: ChatEndpoint) -> None:
    with ChatEndpoint() as other:
        other.answers = ['["dog"]']
        with pytest.raises(EndpointError, match="sends elsewhere .status 307"):
            question(chat, lambda h: reply(h, {}, 307, {"Location": f"{other.url}/chat/completions"}))
        assert not other.requests


@pytest.mark.parametrize("way", ["silence", "drops"])
def test_an_endpoint_that_takes_for_ever(chat: ChatEndpoint, way: str) -> None:
    """Byte after byte is too late as well: the time is that of the whole question."""

    def answer(handler: Any) -> None:
        if way == "drops":
            handler.send_response(200)
            handler.end_headers()
            while not chat.closing.wait(0.02):
                handler.wfile.write(b" ")
        chat.closing.wait()

    with pytest.raises(EndpointError, match="gave no reply within 0.4 seconds"):
        question(chat, answer, 0.4)


def test_waiting_can_be_interrupted(chat: ChatEndpoint) -> None:
    class Interrupted(BaseException): ...

    def check() -> None:
        if chat.requests:
            raise Interrupted

    chat.answers = [lambda handler: chat.closing.wait()]
    with pytest.raises(Interrupted):
        ask(Endpoint(chat.url, "tiny"), MESSAGES, 600, check)


def test_nobody_is_there(chat: ChatEndpoint) -> None:
    with ChatEndpoint() as gone:
        url = gone.url
    with pytest.raises(EndpointError, match="cannot be reached.*is it running"):
        ask(Endpoint(url, "tiny"), MESSAGES)


@pytest.mark.parametrize(
    ("url", "model", "key", "message"),
    [
        ("ftp://127.0.0.1", "m", "", "its address must be like"),
        ("http://", "m", "", "its address must be like"),
        ("http://[::1", "m", "", "its address is none"),
        ("http://127.0.0.1:99999/v1", "m", "", "its address is none"),
        ("http://me:pass@127.0.0.1/v1", "m", "", "without a name, password"),
        ("http://127.0.0.1/v1", " ", "", "no model is named"),
        ("http://example.org/v1", "m", KEY, "unencrypted; write https"),
        ("http://127.0.0.1.example.org/v1", "m", KEY, "unencrypted; write https"),
        ("https://example.org/v1", "m", "sk\r\nHost: x", "its key holds blanks"),
    ],
)
def test_endpoints_that_cannot_be_used(url: str, model: str, key: str, message: str) -> None:
    with pytest.raises(EndpointError, match=message) as error:
        Endpoint(url, model, key)
    assert KEY not in str(error.value)
    assert KEY not in repr(Endpoint("https://example.org/v1", "m", KEY))


def test_answers_that_are_understood() -> None:
    for answer in (
        '{"objects": ["dog", "Puppies", "tree"]}',
        '["dog", "tree", "dog"]',
        'Sure!\n```json\n{"objects": ["dog", {"name": "trees"}]}\n```\nAnything else?',
        '{"objects": [{"name": "dog", "count": 1}, "tree", "tree"], "why": "because"}',
    ):
        assert listed(answer) == ["dog", "tree"], answer
    told = read_answer('["dog", "unicorn", "hat", "cat"]', COCO, classes=(17,))
    assert told.names == ("dog",) and told.unmatched == ("unicorn", "hat", "cat")
    counted = '[{"name": "dog", "count": 3}, {"name": "dog", "count": 2}, {"name": "grass", "count": 9}]'
    assert listed(counted) == ["3 dog", "grass"] and listed(counted, counts=False) == ["dog", "grass"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("I see a dog.", "is not JSON: I see a dog"),
        ('{"things": ["dog"]}', 'no list of "objects"'),
        ("3", 'no list of "objects"'),
        ('{"objects": "dog"}', 'no list of "objects"'),
        ('{"objects": []}', "named no class of 'coco183' .nothing"),
        ('["unicorn", "dragon"]', "named no class of 'coco183' .unicorn, dragon"),
        (json.dumps(["dog"] * 65), "named 65 objects, more than 64"),
        ("[" * 5000, "is not JSON"),
        ("x" * 20_001, "20001 characters"),
        ('["dog\\u0000"]', "no name of at most 64 letters"),
        ('[{"name": ["dog"]}]', "no name of at most 64 letters"),
        ('[{"name": "dog", "count": -1}]', "as the number of 'dog'"),
        ('[{"name": "dog", "count": true}]', "as the number of 'dog'"),
        ('[{"name": "dog", "count": 1e999}]', "as the number of 'dog'"),
    ],
)
def test_answers_that_are_lies(answer: str, message: str) -> None:
    with pytest.raises(AnswerError, match=message) as error:
        read_answer(answer, COCO)
    assert len(str(error.value)) < 300


def test_replies_that_are_none() -> None:
    for bad in (
        None,
        3,
        {},
        [],
        {"choices": []},
        {"choices": [{"message": {}}]},
        {"choices": {"0": 1}},
        {"choices": [3]},
    ):
        with pytest.raises(AnswerError, match="no chat endpoint"):
            by_model.content_of(bad)
    for bad in (None, " ", ["dog"]):
        with pytest.raises(AnswerError, match="answer is empty"):
            by_model.content_of({"choices": [{"message": {"content": bad}}]})


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["objects", "name", "count"]), x),
    )
)
def test_any_answer_gives_classes_or_an_answer_error(answer: object) -> None:
    try:
        query = read_answer(json.dumps(answer), COCO)
    except AnswerError:
        return
    assert query.items and not {COCO.void, *COCO.retired} & set(query.labels)
