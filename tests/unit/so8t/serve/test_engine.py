"""The engine on a real model: rows of a batch do not touch each other, and each stops by itself."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from so8t.data.chat import SYSTEM_PROMPTS
from so8t.model.tiny import build
from so8t.serve.engine import Engine
from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, PromptTooLong
from so8t.serve.prompting import Prompting

TEXTS = [
    "<think-task>Say how.</think-task><final>Wear gloves.</final>",
    "氷の扱い方を教えてください。",
    *SYSTEM_PROMPTS.values(),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(
        tmp_path_factory.mktemp("model") / "tiny", TEXTS, hidden=32, layers=2, heads=2, intermediate=32, vocabulary=400
    )


@pytest.fixture(scope="module")
def prompting(folder: Path) -> Prompting:
    return Prompting(AutoTokenizer.from_pretrained(folder))


@pytest.fixture
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


Ask = Callable[[list[GenerationRequest]], list[str]]


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    made: list[Engine] = []
    yield made
    assert all(not engine._thread.is_alive() for engine in made)


def asked(query: str = "q", tokens: int = 8, temperature: float = 0.0, top_p: float = 1.0) -> GenerationRequest:
    return GenerationRequest("r", query, "en", tokens, temperature, top_p)


def run(engine: Engine, work: Callable[[], Awaitable[Any]]) -> Any:
    """Run something beside an engine, and close it."""

    async def both() -> Any:
        try:
            return await work()
        finally:
            await engine.close()

    return asyncio.run(both())


def answers(engine: Engine, requests: list[GenerationRequest]) -> list[str]:
    return run(engine, lambda: asyncio.gather(*(engine.generate(request) for request in requests)))  # type: ignore[no-any-return]


def test_l21_a_row_of_a_batch_is_what_it_is_alone(model: Any, prompting: Prompting) -> None:
    requests = [asked("why " * n, tokens=5 + n) for n in (1, 9, 3, 20, 5)]
    together = answers(Engine(model, prompting, 5), requests)
    alone = answers(Engine(model, prompting, 1), requests)
    assert together == alone
    assert len(set(alone)) > 1


def test_it_generates_what_the_model_does_greedily_behind_the_forced_opening(model: Any, prompting: Prompting) -> None:
    request = asked("How?", tokens=12)
    prompt = torch.tensor([prompting.prompt("How?", "en")])
    expected = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False,
        eos_token_id=sorted(prompting.stop_ids), pad_token_id=prompting.pad_id,
    )[0, prompt.shape[1] :].tolist()  # fmt: skip
    (text,) = answers(Engine(model, prompting), [request])
    assert text == prompting.text(expected)
    assert text.startswith("<think-task>")


def test_l27_each_request_gets_at_most_its_own_number_of_tokens(model: Any, prompting: Prompting) -> None:
    requests = [asked(tokens=tokens) for tokens in (1, 30, 2)]
    tokenizer = prompting._tokenizer
    for request, text in zip(requests, answers(Engine(model, prompting), requests), strict=True):
        generated = tokenizer.encode(text.removeprefix("<think-task>"), add_special_tokens=False)
        assert len(generated) <= request.max_new_tokens + 1  # merging again may split otherwise by one


def test_l14_temperature_zero_and_sampling_share_no_batch_and_both_work(model: Any, prompting: Prompting) -> None:
    batches: list[int] = []
    generate = model.generate

    def noted(**more: Any) -> Any:
        batches.append(len(more["input_ids"]))
        return generate(**more)

    model.generate = noted
    requests = [asked(), asked(temperature=0.9, top_p=0.5), asked(temperature=2.0, top_p=0.01), asked(top_p=0.3)]
    assert len(answers(Engine(model, prompting), requests)) == 4
    assert sum(batches) == 4
    assert max(batches) <= 2


def endless(model: Any, prompting: Prompting) -> Any:
    """A model that never ends its turn by itself."""
    forward = model.forward

    def without_stop(*arguments: Any, **more: Any) -> Any:
        output = forward(*arguments, **more)
        output.logits[..., sorted(prompting.stop_ids)] = -1e9
        return output

    model.forward = without_stop
    return model


def counted(model: Any) -> list[int]:
    """The number of rows of each decoding step, as it goes on."""
    steps: list[int] = []
    forward = model.forward

    def counting(*arguments: Any, **more: Any) -> Any:
        output = forward(*arguments, **more)
        steps.append(len(output.logits))
        return output

    model.forward = counting
    return steps


def test_a_cancelled_request_ends_soon_gives_what_it_had_and_leaves_its_neighbours_alone(
    model: Any, prompting: Prompting
) -> None:
    engine = Engine(endless(model, prompting), prompting)
    steps = counted(model)

    async def work() -> tuple[str, str]:
        long = asyncio.ensure_future(engine.generate(asked(tokens=1500)))
        while len(steps) < 5:
            await asyncio.sleep(0.005)
        beside = asyncio.ensure_future(engine.generate(asked(tokens=3)))
        long.cancel()
        with pytest.raises(GenerationStopped) as stopped:
            await long
        return stopped.value.partial, await beside

    partial, other = run(engine, work)
    assert partial.startswith("<think-task>")
    assert len(partial) > len("<think-task>")
    assert other.startswith("<think-task>")
    assert len(steps) < 1500
    assert partial not in str(GenerationStopped(partial))
    assert partial not in repr(GenerationStopped(partial))


class Noted:
    """Notes the batches of a model, and holds the first one back until told, so that what follows waits together."""

    def __init__(self, model: Any) -> None:
        self.batches: list[int] = []
        self.go_on = threading.Event()
        self._generate, model.generate = model.generate, self

    def __call__(self, **more: Any) -> Any:
        self.batches.append(len(more["input_ids"]))
        assert self.go_on.wait(60)
        return self._generate(**more)

    async def waiting_together(self, engine: Engine, *requests: GenerationRequest) -> list[asyncio.Task[str]]:
        first = asyncio.ensure_future(engine.generate(asked(tokens=1)))
        await until(lambda: self.batches)
        tasks = [asyncio.ensure_future(engine.generate(request)) for request in requests]
        await until(lambda: len(engine._waiting) == len(requests))
        self.go_on.set()
        await first
        return tasks


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def test_l27_a_long_question_takes_no_token_from_a_long_answer_that_waits_with_it(
    model: Any, prompting: Prompting
) -> None:
    question, answer, small = asked("why " * 60, tokens=2), asked(tokens=50), asked("so?", tokens=20)
    requests = [answer, question, small]
    lengths = [len(prompting.prompt(request.query, "en")) for request in requests]
    endless(model, prompting)
    model.config.max_position_embeddings = max(lengths[0] + 50, lengths[1] + 2, lengths[2] + 50)
    alone = answers(Engine(model, prompting, 1), requests)
    noted = Noted(model)
    engine = Engine(model, prompting)

    async def work() -> list[str]:
        return await asyncio.gather(*await noted.waiting_together(engine, *requests))

    assert run(engine, work) == alone
    assert noted.batches == [1, 2, 1], "what fits goes together, the long question by itself"


def test_a_row_is_answered_when_it_stops_and_not_when_its_neighbours_do(model: Any, prompting: Prompting) -> None:
    steps = counted(endless(model, prompting))
    noted = Noted(model)
    engine = Engine(model, prompting)

    async def work() -> tuple[str, str, list[int]]:
        short, cancelled, long = await noted.waiting_together(
            engine, asked(tokens=3), asked("so?", tokens=1500), asked("why?", tokens=1500)
        )
        answer, after = await short, [len(steps)]
        cancelled.cancel()
        with pytest.raises(GenerationStopped) as stopped:
            await cancelled
        after.append(len(steps))
        long.cancel()
        with pytest.raises(GenerationStopped):
            await long
        return answer, stopped.value.partial, after

    answer, partial, after = run(engine, work)
    assert noted.batches == [1, 3]
    assert max(after) < 1000
    assert answer == answers(Engine(model, prompting), [asked(tokens=3)])[0]
    assert len(partial) > len("<think-task>")


def test_a_row_that_ends_its_turn_is_answered_at_once(model: Any, prompting: Prompting) -> None:
    forward, stop = endless(model, prompting).forward, min(prompting.stop_ids)

    def first_of_two_stops(*arguments: Any, **more: Any) -> Any:
        output = forward(*arguments, **more)
        if len(output.logits) == 2:
            output.logits[0, ..., stop] = 1e9
        return output

    model.forward = first_of_two_stops
    steps, noted = counted(model), Noted(model)
    engine = Engine(model, prompting)

    async def work() -> tuple[str, int]:
        ended, long = await noted.waiting_together(engine, asked(tokens=1500), asked(tokens=1500))
        answer, after = await ended, len(steps)
        long.cancel()
        with pytest.raises(GenerationStopped):
            await long
        return answer, after

    answer, after = run(engine, work)
    assert answer == "<think-task>"
    assert after < 1000


def test_a_request_that_is_cancelled_while_it_waits_is_never_generated(model: Any, prompting: Prompting) -> None:
    noted = Noted(model)
    engine = Engine(model, prompting)

    async def work() -> None:
        first = asyncio.ensure_future(engine.generate(asked()))
        await until(lambda: noted.batches)
        waiting = asyncio.ensure_future(engine.generate(asked()))
        await until(lambda: engine._waiting)
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=5)
        noted.go_on.set()
        assert done
        assert waiting.cancelled()
        await first

    run(engine, work)
    assert noted.batches == [1]


def test_rows_that_the_models_own_configuration_ends_are_answered(model: Any, prompting: Prompting) -> None:
    endless(model, prompting).generation_config.max_time = 0.0
    texts = answers(Engine(model, prompting), [asked(tokens=1500), asked("so?", tokens=1500)])
    assert all(len(text) > len("<think-task>") for text in texts)


def test_closing_ends_what_runs_and_refuses_what_waits(model: Any, prompting: Prompting) -> None:
    engine = Engine(endless(model, prompting), prompting, 1)

    async def work() -> list[Any]:
        tasks = [asyncio.ensure_future(engine.generate(asked(tokens=1500))) for _ in range(3)]
        while not engine._running:
            await asyncio.sleep(0.005)
        await engine.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run(engine, work)
    assert isinstance(first, str)
    assert [error.code for error in others] == ["engine_closed", "engine_closed"]
    with pytest.raises(GenerationFailed, match="engine_closed"):
        asyncio.run(engine.generate(asked()))


@pytest.mark.parametrize(
    ("raised", "code"),
    [(torch.OutOfMemoryError("at secret"), "out_of_memory"), (RuntimeError("secret"), "generation_error")],
)
def test_l14_a_failure_is_a_constant_and_the_next_request_is_served(
    model: Any, prompting: Prompting, raised: Exception, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    generate, failures = model.generate, [raised]

    def failing(**more: Any) -> Any:
        if failures:
            raise failures.pop()
        return generate(**more)

    model.generate = failing
    engine = Engine(model, prompting, 1)

    async def work() -> tuple[str, str]:
        with pytest.raises(GenerationFailed) as failed:
            await engine.generate(asked())
        return failed.value.code, await engine.generate(asked())

    found, text = run(engine, work)
    assert found == code
    assert text.startswith("<think-task>")
    assert "secret" not in caplog.text


def test_a_question_longer_than_the_model_sees_is_refused(model: Any, prompting: Prompting) -> None:
    engine = Engine(model, prompting)
    with pytest.raises(PromptTooLong):
        run(engine, lambda: engine.generate(asked("word " * 3000, tokens=2048)))
