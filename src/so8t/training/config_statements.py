"""The keys of a configuration that only report and model card read: what people say, and what they promise."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections have in common: named keys only, none unknown, unchangeable once read."""


class Criterion(Section, frozen=True):
    """One success criterion, fixed before training.

    Attributes:
        metric: Name of a recorded metric (``loss``, ``accuracy``, ``eval_loss``).
        operator: How the measured value must compare with the threshold.
        threshold: The number to compare with.
        when: Which value counts: the last recorded one (``final``), the best of the run (lowest for < and <=,
            highest for > and >=), or that of the ``last_evaluation``.
        description: What the criterion means, in words for the reader of the report.
    """

    metric: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_./-]*$")]
    operator: Literal["<", "<=", ">", ">="]
    threshold: float
    when: Literal["final", "best", "last_evaluation"] = "final"
    description: str | None = None


Statement = Text | list[Text]
"""What a person says in the report: a paragraph, or a list of points."""


class PocConfig(Section, frozen=True):
    """What the PoC report says about itself; nothing here changes the training. What is null is printed as not stated.

    Attributes:
        title: Title of the report; null: the model's name.
        author: Who made the report.
        approver: Who answers for it.
        recipient: Whom it is made for.
        contact: Whom to ask.
        contract: The contract or business it belongs to.
        version: Version of the document.
        background: Why the proof of concept was undertaken.
        purpose: What it is to show.
        scope: What was looked at and what was not.
        prerequisites: What it takes for granted.
        constraints: What it was bound by.
        data_policy: By which rules the data was collected.
        personal_data: How personal data was kept out.
        safety: How unsafe content is handled.
        hidden_reasoning: How the model's thinking is kept from users.
        considerations: What the author makes of the results.
        risks: Risks that the author sees.
        next_steps: What is to be done next.
        production_conditions: What must hold before production use.
        power_watts: Mean power of the machine in watts, to estimate energy where no GPU counts it.
        co2_grams_per_kwh: Grams of CO2 equivalent per kWh of the electricity used.
        co2_source: Where that figure comes from.
        location: Where the machine stands, as far as it may be told.
        language: Language of the report's texts and figures.
        confidentiality: ``partner`` for a named recipient, ``public`` for anyone.
        criteria: Success criteria; their result (met, missed, not measured) stands in the report.
    """

    title: str | None = None
    author: str | None = None
    approver: str | None = None
    recipient: str | None = None
    contact: str | None = None
    contract: str | None = None
    version: str | None = None
    background: Statement | None = None
    purpose: Statement | None = None
    scope: Statement | None = None
    prerequisites: Statement | None = None
    constraints: Statement | None = None
    data_policy: Statement | None = None
    personal_data: Statement | None = None
    safety: Statement | None = None
    hidden_reasoning: Statement | None = None
    considerations: Statement | None = None
    risks: Statement | None = None
    next_steps: Statement | None = None
    production_conditions: Statement | None = None
    power_watts: Annotated[float, Meta(gt=0)] | None = None
    co2_grams_per_kwh: Annotated[float, Meta(ge=0)] | None = None
    co2_source: str | None = None
    location: str | None = None
    language: Literal["ja", "en"] = "en"
    confidentiality: Literal["partner", "public"] = "partner"
    criteria: list[Criterion] = []


class HubConfig(Section, frozen=True):
    """What a model card on the Hugging Face Hub says in its metadata; nothing here changes the training.

    Attributes:
        base_model: ORG/NAME of the base model on the Hub; a local folder's name is never passed off as one.
        base_model_relation: How the model came from it (``finetune``, ``adapter``, ``quantized``, ``merge``).
        datasets: ORG/NAME of the training data on the Hub.
        eval_dataset: Name of the evaluation data, as the results name it.
        language: ISO 639 codes of the model's languages.
        license: Id of a licence as the Hub spells it, or ``other``.
        license_name: Name of an ``other`` licence.
        license_link: Address of its text.
        library_name: Library that loads the model.
        tags: Further tags.
        pipeline_tag: Task of the model.
    """

    base_model: Text | None = None
    base_model_relation: Text | None = None
    datasets: Statement | None = None
    eval_dataset: Text | None = None
    language: Statement | None = None
    license: Text | None = None
    license_name: Text | None = None
    license_link: Text | None = None
    library_name: Text | None = None
    tags: Statement | None = None
    pipeline_tag: Text | None = None
