"""What a run ran on: interpreter, system, processor, memory, accelerators, packages, command line, container.

Asked once when an attempt opens. Nothing here raises: what cannot be found out is "unknown". User name and host name
are not asked for.
"""

import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from kiseki.provenance.git import describe_git
from kiseki.provenance.redaction import Redactor

UNKNOWN = "unknown"

PACKAGES = (
    "kiseki",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "trl",
    "datasets",
    "tokenizers",
    "safetensors",
    "bitsandbytes",
    "flash-attn",
    "deepspeed",
    "lightning",
    "numpy",
    "msgspec",
    "matplotlib",
    "seaborn",
)
"""Distributions whose version is noted; one that is not installed is left out."""

VARIABLES = (
    "PYTHONHASHSEED",
    "CUDA_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_CUDA_ALLOC_CONF",
    "OMP_NUM_THREADS",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "TOKENIZERS_PARALLELISM",
)
"""Environment variables that change results or speed; no others are looked at."""


def describe_environment(repository: Path | None = None) -> dict[str, Any]:
    """The machine and the software, as a JSON object.

    Args:
        repository: a folder in the working tree of the training code; the current folder by default.

    Returns:
        `python`, `system`, `cpu`, `memory_bytes`, `gpus`, `gpu_driver`, `cuda`, `packages`, `variables`, `command`
        (secrets, paths and names removed), `container`, `time_zone`, `language`, `git`.

    Example:
        >>> describe_environment()["python"]["version"] == platform.python_version()
        True
    """
    gpus, driver = _gpus()
    redactor = Redactor.of_this_machine()
    return {
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "system": {
            "name": platform.system() or UNKNOWN,
            "release": platform.release() or UNKNOWN,
            "machine": platform.machine() or UNKNOWN,
            "distribution": _distribution(),
        },
        "cpu": _cpu(),
        "memory_bytes": _memory_bytes(),
        "gpus": gpus,
        "gpu_driver": driver,
        "cuda": _cuda_of_torch(),
        "packages": _packages(),
        "variables": {name: _printable(os.environ[name]) for name in VARIABLES if name in os.environ},
        "command": redactor.value([_printable(word) for word in sys.orig_argv]),
        "container": _container(),
        "time_zone": {"name": time.strftime("%Z") or UNKNOWN, "utc_offset": time.strftime("%z") or UNKNOWN},
        "language": _language(),
        "git": redactor.value(describe_git(repository or Path())) or UNKNOWN,
    }


def _printable(text: str) -> str:
    # Bytes of a command line that are not UTF-8 arrive as lone surrogates, which no JSON file may hold.
    return text.encode("utf-8", "replace").decode("utf-8")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", UNKNOWN)
    except OSError:  # not a Linux, or one that does not say
        return UNKNOWN


def _cpu() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"model": _cpu_model(), "count": os.cpu_count() or UNKNOWN, "usable": usable or UNKNOWN}


def _cpu_model() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "Hardware"):
                    return value.strip()
    except OSError:  # not a Linux
        return os.environ.get("PROCESSOR_IDENTIFIER") or platform.processor() or UNKNOWN
    return UNKNOWN


def _memory_bytes() -> int | str:
    try:
        import psutil

        return int(psutil.virtual_memory().total)
    except (ImportError, OSError, RuntimeError):
        return UNKNOWN


def _gpus() -> tuple[list[dict[str, Any]] | str, str]:
    """NVIDIA GPUs through NVML and the driver's version; unknown where there is no NVML, as on other makers' cards."""
    try:
        import pynvml
    except ImportError:
        return UNKNOWN, UNKNOWN
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):
        return UNKNOWN, UNKNOWN
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        gpus = [
            {
                "name": _as_text(pynvml.nvmlDeviceGetName(handle)),
                "memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            }
            for handle in handles
        ]
        return gpus, _as_text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return UNKNOWN, UNKNOWN
    finally:
        _quietly_shut_down(pynvml)


def _quietly_shut_down(nvml: Any) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return


def _as_text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _cuda_of_torch() -> str:
    # torch is only looked at where the training process has loaded it: importing it would take seconds.
    version = getattr(sys.modules.get("torch"), "version", None)
    return str(getattr(version, "cuda", None) or getattr(version, "hip", None) or UNKNOWN)


def _packages() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name) or UNKNOWN
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _container() -> str:
    """What is recognisable of the container around the process; "none seen" is no proof that there is none."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    for mark, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/.singularity.d", "singularity")):
        if Path(mark).exists():
            return name
    return os.environ.get("container") or "none seen"  # noqa: SIM112 - systemd and podman spell it so


def _language() -> str:
    return next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), UNKNOWN)
