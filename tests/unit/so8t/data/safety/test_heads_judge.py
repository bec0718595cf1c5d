"""Records as rows for the heads, and heads as the gate asks them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM

from so8t.data.chat import ChatEncoder
from so8t.data.safety.heads import HeadsJudge, layout_for, rows_of
from so8t.data.thinking_record import DomainLabel, SafetyLabel, ThinkingRecord
from so8t.model.head_training import IGNORED
from so8t.model.heads import SafetyHeads

Row = dict[str, Any]


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> ChatEncoder:
    return ChatEncoder(tokenizer)


@pytest.fixture(scope="module")
def model(tiny_folder: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_folder).eval()


def test_a_record_is_asked_about_as_request_as_answer_and_as_final(
    make_row: Callable[..., Row], encoder: ChatEncoder
) -> None:
    record = msgspec.convert(make_row(input="水温は5度", safety_label="ESCALATION"), ThinkingRecord)
    rows = rows_of([record], encoder)
    thinking = record.thinking
    whole = f"{thinking.task}\n{thinking.safety}\n{thinking.policy}\n{record.final}"  # as the gate asks, without tags
    texts = (f"{record.instruction}\n\n{record.input}", whole, record.final)
    assert [row["input_ids"] for row in rows] == [encoder.plain(text) for text in texts]
    layout = layout_for(64)
    assert {layout.safety[row["safety"]] for row in rows} == {"ESCALATION"}
    assert {layout.domain[row["domain"]] for row in rows} == {"general"}
    assert [row["verifier"][0] == 0.95 for row in rows] == [False, True, True]


def test_what_a_record_does_not_say_is_unknown(make_row: Callable[..., Row], encoder: ChatEncoder) -> None:
    record = msgspec.convert(make_row(), ThinkingRecord)
    rows = rows_of([msgspec.structs.replace(record, verifier=None, domain_label=None)], encoder)
    assert {row["domain"] for row in rows} == {IGNORED}
    assert all(value != value for row in rows for value in row["verifier"])


def test_a_long_text_keeps_its_end(make_row: Callable[..., Row], encoder: ChatEncoder) -> None:
    record = msgspec.convert(make_row(), ThinkingRecord)
    whole, cut = (rows_of([record], encoder, most_tokens=most)[1]["input_ids"] for most in (2048, 5))
    assert cut == whole[-5:]


def test_labels_stand_in_order_of_severity() -> None:
    layout = layout_for(3072)
    assert layout.safety == tuple(label.value for label in SafetyLabel) == ("ALLOW", "ESCALATION", "DENY", "REFUSE")
    assert layout.domain == tuple(label.value for label in DomainLabel)


def judge_with_bias(model: Any, encoder: ChatEncoder, bias: list[float]) -> HeadsJudge:
    heads = SafetyHeads(layout_for(16, split=False)).eval()
    with torch.no_grad():
        heads.safety.weight.zero_()
        heads.safety.bias.copy_(torch.tensor(bias))
    return HeadsJudge(model, encoder, heads)


@pytest.mark.parametrize("place", range(4))
def test_the_most_probable_label_is_the_decision(model: Any, encoder: ChatEncoder, place: int) -> None:
    bias = [0.0] * 4
    bias[place] = 3.0
    decision = judge_with_bias(model, encoder, bias).decide("配管を守る方法")
    assert decision.label is list(SafetyLabel)[place]
    assert decision.confidence == pytest.approx(float(torch.tensor(bias).softmax(0)[place]))


def test_domain_and_scores_are_read_beside_the_label(model: Any, encoder: ChatEncoder) -> None:
    judge = judge_with_bias(model, encoder, [3.0, 0.0, 0.0, 0.0])
    heads = judge._heads
    with torch.no_grad():
        for linear, bias in ((heads.domain, [0.0] * 4 + [5.0] + [0.0] * 3), (heads.verifier, [2.0, -1.0])):
            linear.weight.zero_()
            linear.bias.copy_(torch.tensor(bias))
    reading = judge.decide("配管").reading
    assert reading is not None
    assert reading.domain is list(DomainLabel)[4]
    assert reading.domain_confidence == pytest.approx(0.9549, abs=1e-3)
    assert (reading.plausibility, reading.self_confidence) == pytest.approx((0.8808, 0.2689), abs=1e-4)


def test_what_is_no_number_has_no_confidence(model: Any, encoder: ChatEncoder) -> None:
    judge = judge_with_bias(model, encoder, [float("nan"), 0.0, 0.0, 0.0])
    assert math.isnan(judge.decide("配管").confidence)


def test_a_text_without_tokens_has_no_confidence(model: Any, encoder: ChatEncoder) -> None:
    assert math.isnan(judge_with_bias(model, encoder, [9.0, 0.0, 0.0, 0.0]).decide("").confidence)
