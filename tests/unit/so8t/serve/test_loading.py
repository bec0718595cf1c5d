"""What is loaded to be served: the trained model, and heads that judge with it while it generates."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from so8t.data.safety.heads import layout_for
from so8t.data.thinking import SafetyLabel
from so8t.errors import ModelError
from so8t.model.attach import GATES_FILE, attach_gates, save_gates
from so8t.model.bake_source import Source, load_gated
from so8t.model.heads import HEADS_FILE, HeadLayout, SafetyHeads, save_heads
from so8t.model.tiny import build
from so8t.serve.engine import Engine
from so8t.serve.generation import GenerationRequest
from so8t.serve.loading import load_heads_judge, load_model, load_tokenizer, one_at_a_time, serving_device
from so8t.serve.prompting import Prompting

TEXTS = ["<think-task>Say how.</think-task><final>Wear gloves.</final>", "氷の扱い方を教えてください。"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(
        tmp_path_factory.mktemp("model") / "tiny", TEXTS, hidden=64, layers=2, heads=2, intermediate=32, vocabulary=400
    )


@pytest.fixture
def model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def whole(folder: Path) -> Source:
    return Source(folder, folder, "tiny", has_gates=False)


def test_a_checkpoint_with_gates_is_served_as_it_was_trained(folder: Path, tmp_path: Path, model: Any) -> None:
    attach_gates(model, init="normal", init_scale=0.3)
    save_gates(model, tmp_path / GATES_FILE)
    source = Source(checkpoint=tmp_path, base=folder, base_name="tiny")
    trained, _ = load_gated(source, print)
    served = load_model(source, torch.device("cpu"))
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.allclose(trained(tokens).logits, served(tokens).logits, atol=1e-4)
    assert not [name for name in served.state_dict() if "so8" in name]
    assert load_tokenizer(tmp_path, folder).get_vocab()


def test_a_folder_with_whole_weights_is_served_as_it_is_and_another_is_refused(folder: Path, tmp_path: Path) -> None:
    served = load_model(Source(folder, folder, "tiny", has_gates=False), serving_device(force_cpu=True))
    assert not served.training
    with pytest.raises(ModelError, match="cannot be loaded as a language model"):
        load_model(Source(tmp_path, tmp_path, "x", has_gates=False), torch.device("cpu"))
    with pytest.raises(ModelError, match=r"holds no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_calls_from_several_threads_wait_for_one_another(model: Any) -> None:
    inside, most = 0, 0

    def enter(*arguments: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.005)

    def leave(*arguments: object) -> None:
        nonlocal inside
        inside -= 1

    decoder = one_at_a_time(model).base_model
    decoder.layers[0].register_forward_pre_hook(enter)
    decoder.layers[-1].register_forward_hook(leave)
    tokens = torch.arange(4)[None]
    threads = [threading.Thread(target=lambda: model(tokens)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    with pytest.raises(ValueError, match="exactly one of"):  # and a call that fails lets the next one in
        decoder(input_ids=None, inputs_embeds=None)
    assert model(tokens).logits.isfinite().all()


def test_heads_judge_while_the_engine_generates_and_both_say_what_they_say_alone(folder: Path, tmp_path: Path) -> None:
    served = load_model(whole(folder), CPU)
    tokenizer = load_tokenizer(folder)
    torch.manual_seed(5)
    save_heads(SafetyHeads(layout_for(64)), tmp_path / HEADS_FILE)
    judge = load_heads_judge(tmp_path / HEADS_FILE, served, tokenizer)
    texts = [f"配管 {number} " * (number + 1) for number in range(8)]
    alone = [judge.decide(text) for text in texts]
    assert len({decision.confidence for decision in alone}) == len(texts)

    async def together(judging: bool) -> tuple[list[str], list[Any]]:
        engine = Engine(served, Prompting(tokenizer), 4)
        asked = [GenerationRequest("r", f"question {n} " * n, "en", 30, 0.0, 1.0) for n in range(1, 7)]
        try:
            judged = [asyncio.to_thread(judge.decide, text) for text in texts] if judging else []
            return (
                await asyncio.gather(*(engine.generate(request) for request in asked)),
                await asyncio.gather(*judged),
            )
        finally:
            await engine.close()

    generated, _ = asyncio.run(together(judging=False))
    again, judged = asyncio.run(together(judging=True))
    assert again == generated
    assert judged == alone


def test_heads_stand_with_their_digest(folder: Path, tmp_path: Path, model: Any) -> None:
    save_heads(SafetyHeads(layout_for(64)), tmp_path / HEADS_FILE)
    first = load_heads_judge(tmp_path / HEADS_FILE, model, AutoTokenizer.from_pretrained(folder))
    torch.manual_seed(1)
    save_heads(SafetyHeads(layout_for(64)), tmp_path / HEADS_FILE)
    second = load_heads_judge(tmp_path / HEADS_FILE, model, AutoTokenizer.from_pretrained(folder))
    assert first.name.startswith("heads ")
    assert first.name != second.name


@pytest.mark.parametrize(
    "layout",
    [
        layout_for(128),
        HeadLayout(64, ("ALLOW", "REFUSE"), ("general",), ("logical", "faithful")),
        HeadLayout(64, tuple(label.value for label in SafetyLabel), ("cooking",), ("logical", "faithful")),
    ],
    ids=["of a wider model", "with fewer labels", "with other domains"],
)
def test_heads_of_another_model_are_refused_when_they_are_loaded(
    folder: Path, tmp_path: Path, model: Any, layout: HeadLayout
) -> None:
    save_heads(SafetyHeads(layout), tmp_path / HEADS_FILE)
    with pytest.raises(ModelError, match="train them again"):
        load_heads_judge(tmp_path / HEADS_FILE, model, AutoTokenizer.from_pretrained(folder))
