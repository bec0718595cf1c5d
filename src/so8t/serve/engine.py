"""Generates in this process with transformers: one worker thread, requests of a kind together.

The thread takes what waits, pads it on the left into one batch, and stops each row by itself: at a stop token, at its
own number of tokens, or as soon as its request was cancelled. Requests whose sampling differs wait for the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList

from so8t.serve.generation import GenerationFailed, GenerationRequest, GenerationStopped, PromptTooLong
from so8t.serve.prompting import Prompting

__all__ = ["Engine"]

_LOGGER = logging.getLogger("so8t.serve")
_SECONDS_TO_STOP = 10.0  # the longest a cancelled request waits for the decoding step it is in


@dataclass(eq=False)
class _Job:
    """A request on its way through the worker."""

    request: GenerationRequest
    prompt: list[int]
    loop: asyncio.AbstractEventLoop
    result: asyncio.Future[str]
    stop: threading.Event = field(default_factory=threading.Event)
    generated: list[int] = field(default_factory=list)

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
        with `GenerationStopped`.
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
        job.stop.set()
        await asyncio.wait({job.result}, timeout=_SECONDS_TO_STOP)
        if job.result.done() and job.result.exception() is None:
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
            else:
                for job in jobs:
                    _settle(job, self._prompting.text(job.generated))
        self._fail([*self._waiting], "engine_closed")

    def _next_batch(self) -> Sequence[_Job] | None:
        """Wait for a request and take it with those that go with it; None when the engine is closed."""
        with self._changed:
            self._running = ()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            first = self._waiting[0]
            jobs = [job for job in self._waiting if job.kind == first.kind][: self._most_together]
            self._waiting = deque(job for job in self._waiting if job not in jobs)
            self._running = tuple(jobs)
        return jobs

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
        longest = min(max(job.request.max_new_tokens for job in jobs), self._positions - width)
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=longest,
            use_cache=True,
            eos_token_id=sorted(self._prompting.stop_ids),
            pad_token_id=pad,
            stopping_criteria=StoppingCriteriaList([_row_by_row(jobs, width)]),
            **sampling,
        )
        for job, row in zip(jobs, output[:, width:].tolist(), strict=True):
            job.generated = row[: job.request.max_new_tokens]

    def _fail(self, jobs: Sequence[_Job], code: str) -> None:
        for job in jobs:
            _settle(job, GenerationFailed(code))


def _row_by_row(jobs: Sequence[_Job], prompt_length: int) -> Callable[..., Tensor]:
    """A stopping criterion: ends a row when it has its number of tokens or nobody waits for it any more."""

    def over(input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
        done = input_ids.shape[1] - prompt_length
        rows = [job.stop.is_set() or done >= job.request.max_new_tokens for job in jobs]
        return torch.tensor(rows, device=input_ids.device)

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
