"""Generates in this process with transformers: one worker thread, requests of a kind together.

The thread takes what waits, pads it on the left into one batch, and stops each row by itself: at a stop token, at its
own number of tokens, or as soon as its request was cancelled. A row is handed over when it stops, whatever the others
do. Requests whose sampling differs, or that would leave another one too few positions, wait for the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList

from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, PromptTooLong
from so8t.serve.prompting import Prompting

__all__ = ["Engine"]

_LOGGER = logging.getLogger("so8t.serve")


@dataclass(eq=False)
class _Job:
    """A request on its way through the worker."""

    request: GenerationRequest
    prompt: list[int]
    loop: asyncio.AbstractEventLoop
    result: asyncio.Future[str]
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def kind(self) -> tuple[float, float]:
        """What has to be the same for requests to share a batch."""
        return (self.request.temperature, self.request.top_p if self.request.temperature > 0 else 1.0)


class Engine:
    """A loaded model that answers requests; implements `Generator`.

    Args:
        model: a causal language model in evaluation mode, on its device.
        prompting: of its tokenizer.
        most_together: rows of a batch.
    """

    def __init__(self, model: Any, prompting: Prompting, most_together: int = 8) -> None:
        self._model = model
        self._prompting = prompting
        self._most_together = most_together
        self._positions = int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
        self._waiting: deque[_Job] = deque()
        self._running: tuple[_Job, ...] = ()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="so8t-generation", daemon=True)
        self._thread.start()

    async def generate(self, request: GenerationRequest) -> str:
        """Generate a text; see `Generator.generate`.

        When the task is cancelled the row is stopped after the decoding step that it is in, and what it had is given
        with `GenerationStopped`. Cancelled once more, the task does not wait for that step.
        """
        prompt = self._prompting.prompt(request.query, request.language)
        if len(prompt) + request.max_new_tokens > self._positions:
            raise PromptTooLong
        loop = asyncio.get_running_loop()
        job = _Job(request, prompt, loop, loop.create_future())
        with self._changed:
            if self._closed:
                raise GenerationFailed("engine_closed")
            self._waiting.append(job)
            self._changed.notify()
        try:
            return await asyncio.shield(job.result)
        except asyncio.CancelledError:
            return await self._stopped(job)

    async def close(self) -> None:
        """Stop every row, and wait for the worker."""
        with self._changed:
            self._closed = True
            for job in (*self._running, *self._waiting):
                job.stop.set()
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    async def _stopped(self, job: _Job) -> str:
        with self._changed:
            job.stop.set()
            if job in self._waiting:
                self._waiting.remove(job)
                raise asyncio.CancelledError
        await asyncio.wait({job.result})
        if job.result.exception() is None:
            raise GenerationStopped(job.result.result()) from None
        raise asyncio.CancelledError

    def _work(self) -> None:
        while (jobs := self._next_batch()) is not None:
            try:
                self._run(jobs)
            except torch.OutOfMemoryError:
                self._fail(jobs, "out_of_memory")
            except Exception as error:  # noqa: BLE001 - the worker's boundary: the next request must find it alive
                _LOGGER.error("generation failed: %s", type(error).__name__)
                self._fail(jobs, "generation_error")
        self._fail([*self._waiting], "engine_closed")

    def _next_batch(self) -> Sequence[_Job] | None:
        """Wait for a request and take it with those that go with it; None when the engine is closed."""
        with self._changed:
            self._running = ()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            jobs = self._going_together(self._waiting)
            self._waiting = deque(job for job in self._waiting if job not in jobs)
            self._running = tuple(jobs)
        return jobs

    def _going_together(self, waiting: Iterable[_Job]) -> list[_Job]:
        """The first and those that share its kind, each with room for all its tokens behind the longest prompt."""
        jobs: list[_Job] = []
        width = longest = 0
        for job in waiting:
            wider, longer = max(width, len(job.prompt)), max(longest, job.request.max_new_tokens)
            if not jobs or (job.kind == jobs[0].kind and wider + longer <= self._positions):
                jobs.append(job)
                width, longest = wider, longer
        return jobs[: self._most_together]

    @torch.inference_mode()
    def _run(self, jobs: Sequence[_Job]) -> None:
        device = next(self._model.parameters()).device
        width = max(len(job.prompt) for job in jobs)
        pad = self._prompting.pad_id
        ids = torch.tensor([[pad] * (width - len(job.prompt)) + job.prompt for job in jobs], device=device)
        mask = torch.tensor([[0] * (width - len(job.prompt)) + [1] * len(job.prompt) for job in jobs], device=device)
        temperature, top_p = jobs[0].kind
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if temperature > 0:
            sampling = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
        running = dict(enumerate(jobs))

        def hand_over(place: int, row: Tensor) -> None:
            _settle(running.pop(place), self._prompting.text(row[width:].tolist()))

        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max(job.request.max_new_tokens for job in jobs),
            use_cache=True,
            eos_token_id=sorted(self._prompting.stop_ids),
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([_row_by_row(running, width, self._prompting.stop_ids, hand_over)]),
            **sampling,
        )
        for place in [*running]:  # those that the model's own configuration ended
            hand_over(place, output[place])

    def _fail(self, jobs: Sequence[_Job], code: str) -> None:
        for job in jobs:
            _settle(job, GenerationFailed(code))


def _row_by_row(
    running: Mapping[int, _Job], prompt_length: int, stop_ids: Container[int], hand_over: Callable[[int, Tensor], None]
) -> Callable[..., Tensor]:
    """A stopping criterion: ends a row at a stop token, at its number of tokens or when nobody waits for it any more.

    Args:
        running: the jobs by their rows; `hand_over` takes them out.
        prompt_length: tokens of each row that were not generated.
        stop_ids: tokens that end a row.
        hand_over: is given the number and all tokens of a row that ends.
    """

    def over(input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
        done = input_ids.shape[1] - prompt_length
        newest = input_ids[:, -1].tolist()
        for place, job in [*running.items()]:
            if newest[place] in stop_ids or job.stop.is_set() or done >= job.request.max_new_tokens:
                hand_over(place, input_ids[place])
        return torch.tensor([place not in running for place in range(len(input_ids))], device=input_ids.device)

    return over


def _settle(job: _Job, outcome: str | GenerationFailed) -> None:
    def settle() -> None:
        if job.result.done():
            return
        if isinstance(outcome, str):
            job.result.set_result(outcome)
        else:
            job.result.set_exception(outcome)
            job.result.exception()  # seen: a request that has gone must not make asyncio print it

    try:
        job.loop.call_soon_threadsafe(settle)
    except RuntimeError:
        _LOGGER.warning("a generation ended after the server had")
