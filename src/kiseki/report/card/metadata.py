"""What a card says to programs: the metadata of the Hub, as far as the record knows it.

huggingface_hub writes it; what that does not check is checked here: ids of licences, data sets and models, language
codes, and that numbers are finite. What is not known has no key.
"""

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from kiseki.errors import UsageError
from kiseki.report.card.index import SOURCE
from kiseki.report.dossier import UNKNOWN, Dossier
from kiseki.report.sections.given import lookup, visible

_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
LICENSES: frozenset[str] = frozenset(_LICENSES.split())
"""Ids of https://huggingface.co/docs/hub/repositories-licenses."""

_RELATIONS = ("adapter", "finetune", "merge", "quantized")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_LOCAL_FOLDERS = re.compile(r"(?:\.{1,2}|~|models?|checkpoints?|runs?|outputs?|data|weights?)/", re.IGNORECASE)
_NO_RESULT = re.compile(r"(?:runtime|.*_per_second|.*tokens|.*samples|model_preparation_time)")
_METRIC_TYPES = {"loss": "loss", "perplexity": "perplexity", "accuracy": "accuracy"}
_METRIC_NAMES = {"loss": "Validation Loss"}


def card_metadata(dossier: Dossier, repo_id: str | None) -> dict[str, Any]:
    """The metadata by key, in the order the card has it; only what is known.

    Args:
        dossier: the facts.
        repo_id: the repository the card is for, which the evaluation results name as their source.

    Raises:
        UsageError: the configuration states something that the Hub would not take.
    """
    from huggingface_hub import ModelCardData

    index = _results(dossier, repo_id)
    known: dict[str, Any] = {
        "base_model": _base_model(dossier),
        "base_model_relation": _relation(dossier),
        "datasets": _ids(dossier, "datasets"),
        "language": _languages(dossier),
        **_license(dossier),
        "library_name": _library(dossier),
        "tags": _tags(dossier),
        "pipeline_tag": _pipeline(dossier),
        "metrics": sorted({result.metric_type for result in index}) or None,
        "co2_eq_emissions": _emissions(dossier),
    }
    stated: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
    name = repo_id.rpartition("/")[2] if repo_id else visible(dossier.model_name)
    if index:
        stated |= {"model_name": name, "eval_results": index}
    metadata: dict[str, Any] = ModelCardData(**stated).to_dict()  # type: ignore[no-untyped-call]
    return {key: metadata[key] for key in (*known, "model-index") if key in metadata}


def evaluated_on(dossier: Dossier) -> str | None:
    """What the evaluations were made on, None when that is not known."""
    named = lookup(dossier, "hub.eval_dataset", "data.eval.file", "data.eval.id", "data.eval_data", "eval_dataset")
    return PurePosixPath(str(named).replace("\\", "/")).name if isinstance(named, str) and named else None


def _stated(dossier: Dossier, key: str) -> Any:
    return lookup(dossier, f"hub.{key}")


def _text(dossier: Dossier, key: str) -> str | None:
    value = _stated(dossier, key)
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise UsageError(f"hub.{key}: expected text, found {value!r}")


def _texts(dossier: Dossier, key: str) -> list[str]:
    value = _stated(dossier, key)
    values = [value] if isinstance(value, str) else value or []
    if not isinstance(values, list | tuple) or not all(isinstance(item, str) and item for item in values):
        raise UsageError(f"hub.{key}: expected text or a list of texts, found {value!r}")
    return list(values)


def _ids(dossier: Dossier, key: str) -> list[str] | None:
    ids = _texts(dossier, key)
    for one in ids:
        if not _HUB_ID.fullmatch(one):
            raise UsageError(f"hub.{key}: {one!r} is no id on the Hub; expected ORG/NAME")
    return ids or None


def _base_model(dossier: Dossier) -> list[str] | str | None:
    ids = _ids(dossier, "base_model")
    if ids:
        return ids[0] if len(ids) == 1 else ids
    # a folder has a name too: what may be one is not passed off as a model on the Hub
    named = lookup(dossier, "model.base_model", "model_name_or_path", "base_model_name_or_path")
    if (
        isinstance(named, str)
        and named.count("/") == 1
        and _HUB_ID.fullmatch(named)
        and not _LOCAL_FOLDERS.match(named)
    ):
        return named
    return None


def _relation(dossier: Dossier) -> str | None:
    relation = _text(dossier, "base_model_relation")
    if relation is not None and relation not in _RELATIONS:
        raise UsageError(f"hub.base_model_relation: expected one of {', '.join(_RELATIONS)}, found {relation!r}")
    if _base_model(dossier) is None:
        return None
    return relation or ("adapter" if lookup(dossier, "lora_parameters", "lora_r") else "finetune")


def _languages(dossier: Dossier) -> list[str] | None:
    stated = _texts(dossier, "language")
    for code in stated:
        if not _is_language(code):
            raise UsageError(f"hub.language: {code!r} is no ISO 639 code; expected two or three letters such as ja")
    counted = lookup(dossier, "data.train.languages")
    found = sorted(str(code) for code in counted) if isinstance(counted, Mapping) else []
    return stated or [code for code in found if _is_language(code)] or None


def _is_language(code: str) -> bool:
    return re.fullmatch(r"[a-z]{2,3}|code|multilingual", code) is not None


def _license(dossier: Dossier) -> dict[str, str | None]:
    license_id, name, link = (_text(dossier, key) for key in ("license", "license_name", "license_link"))
    if license_id is None and (name or link):
        license_id = "other"
    if license_id is not None and license_id not in LICENSES:
        near = difflib.get_close_matches(license_id.lower(), LICENSES, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"hub.license: {license_id!r} is no licence id of the Hub{hint} "
            "For another licence write `license: other` with license_name and license_link"
        )
    if license_id == "other" and not name:
        raise UsageError("hub.license: `other` needs hub.license_name, and hub.license_link to its text")
    return {"license": license_id, "license_name": name, "license_link": link}


def _library(dossier: Dossier) -> str | None:
    packages = dossier.environment.get("packages") if isinstance(dossier.environment, Mapping) else None
    trained_with = isinstance(packages, Mapping) and "transformers" in packages
    return _text(dossier, "library_name") or ("transformers" if trained_with else None)


def _tags(dossier: Dossier) -> list[str]:
    by_trainer = ["generated_from_trainer"] if lookup(dossier, "arguments") else []
    return list(dict.fromkeys([*_texts(dossier, "tags"), *by_trainer, "kiseki"]))


def _pipeline(dossier: Dossier) -> str | None:
    architecture = lookup(dossier, "architecture")
    generates = isinstance(architecture, str) and architecture.endswith("ForCausalLM")
    return _text(dossier, "pipeline_tag") or ("text-generation" if generates else None)


def _results(dossier: Dossier, repo_id: str | None) -> list[Any]:
    """The last value of each evaluated metric; none where nobody knows what was evaluated on."""
    from huggingface_hub import EvalResult

    name = evaluated_on(dossier)
    if name is None:
        return []
    sha256 = lookup(dossier, "data.eval.sha256")
    source: dict[str, Any] = (
        {"source_name": SOURCE, "source_url": f"https://huggingface.co/{repo_id}"} if repo_id else {}
    )
    return [
        EvalResult(
            task_type="text-generation",
            task_name="Text Generation",
            dataset_type=re.sub(r"[^A-Za-z0-9_./-]+", "-", name).removesuffix(".jsonl").strip("-") or "evaluation",
            dataset_name=visible(name),
            dataset_args={"sha256": sha256} if isinstance(sha256, str) else None,
            metric_type=_METRIC_TYPES.get(metric, metric),
            metric_name=visible(_METRIC_NAMES.get(metric, metric.replace("_", " ").title())),
            metric_value=value,
            **source,
        )
        for metric, value in final_results(dossier).items()
        if math.isfinite(value)
    ]


def final_results(dossier: Dossier) -> dict[str, float]:
    """The last value of each evaluated metric by its name without `eval_`, NaN and infinities too.

    Counts of tokens and samples and speeds are no results.
    """
    columns = dossier.history.evaluations.columns
    return {
        metric: columns[name].value[-1]
        for name in dossier.evaluation_final
        if name.startswith("eval_") and (metric := name.removeprefix("eval_")) and not _NO_RESULT.fullmatch(metric)
    }


def _emissions(dossier: Dossier) -> dict[str, Any] | None:
    """Grams of CO2 equivalent and where the number comes from: as the run says it, else from its energy."""
    said = lookup(dossier, "co2_eq_emissions", "hub.co2_eq_emissions")
    fields = dict(said) if isinstance(said, Mapping) else {"emissions": said}
    if said is None:
        fields = _computed_emissions(dossier)
    grams = fields.get("emissions")
    if grams is None and said is None:
        return None
    if isinstance(grams, bool) or not isinstance(grams, int | float) or not math.isfinite(grams) or grams < 0:
        raise UsageError(f"co2_eq_emissions: emissions must be a number of grams, 0 or more; found {grams!r}")
    keys = ("emissions", "source", "training_type", "geographical_location", "hardware_used")
    return {key: fields[key] for key in keys if fields.get(key) is not None}


def _computed_emissions(dossier: Dossier) -> dict[str, Any]:
    compute = dossier.compute
    energy = {"measured": "energy measured by the GPUs' counter", "estimated": "energy estimated from stated power"}
    source = [energy.get(compute.energy.how), f"factor {compute.co2_grams_per_kwh} g/kWh", compute.co2_source]
    return {
        "emissions": compute.co2_grams,
        "source": ", ".join(str(part) for part in source if part),
        "training_type": "fine-tuning" if lookup(dossier, "model.base_model", "hub.base_model") else None,
        "geographical_location": compute.location,
        "hardware_used": _hardware(dossier),
    }


def _hardware(dossier: Dossier) -> str | None:
    environment = dossier.environment if isinstance(dossier.environment, Mapping) else {}
    gpus, cpu = environment.get("gpus"), environment.get("cpu")
    if isinstance(gpus, list) and gpus:
        return f"{len(gpus)} x {gpus[0].get('name')}"
    model = cpu.get("model") if isinstance(cpu, Mapping) else None
    return str(model) if model not in (None, UNKNOWN) else None
