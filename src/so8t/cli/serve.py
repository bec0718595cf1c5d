"""`so8t serve`: the /think server; `so8t serve-statement`: what its audit log says, for the PoC report."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from kiseki.filesystem import write_new
from so8t.cli.audit import DEFAULT_DATABASE
from so8t.errors import ConfigError, So8tError

if TYPE_CHECKING:
    from so8t.model.bake_source import Source
    from so8t.serve.audit.keys import AuditKey
    from so8t.serve.gate import Gate
    from so8t.serve.generation import Generator
    from so8t.serve.settings import Settings

_DEFAULT_KEY = Path("database/so8t_audit.key")


class _Model(NamedTuple):
    """Where the model comes from and where it runs."""

    folder: Path
    base: Path | None
    upstream: str | None
    upstream_model: str | None
    upstream_token: Path | None
    cpu: bool
    batch: int


@click.command(short_help="Serve /think: only a validated final answer leaves.")
@click.option(
    "--model",
    "folder",
    envvar="SO8T_MODEL_PATH",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Run folder, its final/ or a checkpoint, or what so8t bake wrote (also: SO8T_MODEL_PATH).",
)
@click.option(
    "--base",
    envvar="SO8T_BASE_MODEL",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Base model's folder.  [default: the one the run was trained from; also: SO8T_BASE_MODEL]",
)
@click.option(
    "--upstream",
    metavar="URL",
    help="Let this OpenAI-compatible server generate, such as http://127.0.0.1:8001/v1; --model gives the tokenizer.",
)
@click.option("--upstream-model", metavar="NAME", help="Name of the model there.  [default: the name of DIR]")
@click.option(
    "--upstream-token-file", metavar="FILE", type=click.Path(path_type=Path), help="Token for it (file, mode 0600)."
)
@click.option(
    "--db",
    "--database",
    "database",
    envvar="SO8T_DB_PATH",
    default=DEFAULT_DATABASE,
    show_default=True,
    metavar="PATH|URL",
    help="Audit log: SQLite file or postgresql:// URL (also: SO8T_DB_PATH; keeps a password off the process list).",
)
@click.option(
    "--key-file",
    envvar="SO8T_AUDIT_HMAC_KEY_FILE",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"Audit log's key.  [default: {_DEFAULT_KEY.as_posix()}, made if missing; also: SO8T_AUDIT_HMAC_KEY_FILE]",
)
@click.option(
    "--host", envvar="SO8T_API_HOST", default="127.0.0.1", show_default=True, help="Address (also: SO8T_API_HOST)."
)
@click.option(
    "--port", envvar="SO8T_API_PORT", default=8000, show_default=True, help="Port; 0: a free one (also: SO8T_API_PORT)."
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Clients must show this token (file, mode 0600); needed for any --host but loopback.",
)
@click.option(
    "--allowed-host", multiple=True, metavar="NAME[:PORT]", help="Further Host header that means this server; repeat."
)
@click.option("--ui", is_flag=True, help="Serve a small page at / to try it with.")
@click.option("--docs", is_flag=True, help="Serve /openapi.json.")
@click.option(
    "--quadruple/--any-thinking",
    envvar="SO8T_USE_QUADRUPLE",
    default=True,
    help="Demand task, safety, policy and final, or only a final after any thinking.  [default: --quadruple]",
)
@click.option(
    "--safety-model",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Safety classifier, as so8t safety train makes it.  [default: so8t's own]",
)
@click.option("--no-safety-model", is_flag=True, help="Judge by the labels that the thinking states alone.")
@click.option(
    "--allow-unjudged",
    is_flag=True,
    help="With --no-safety-model: let well-formed answers out whose thinking states no label; else a person is called.",
)
@click.option("--force-cpu", is_flag=True, envvar="SO8T_FORCE_CPU", help="Leave the GPU alone (also: SO8T_FORCE_CPU).")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1, 256), help="Requests generated together.")
@click.option("--max-running", default=64, show_default=True, help="Requests at once; beyond, 429.")
@click.option("--rate", default=120, show_default=True, help="Requests per minute and client address; 0: no bound.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds for one generation, waiting included.")
def serve(
    folder: Path,
    base: Path | None,
    upstream: str | None,
    upstream_model: str | None,
    upstream_token_file: Path | None,
    database: str,
    key_file: Path | None,
    host: str,
    port: int,
    token_file: Path | None,
    allowed_host: tuple[str, ...],
    ui: bool,
    docs: bool,
    quadruple: bool,
    safety_model: Path | None,
    no_safety_model: bool,
    allow_unjudged: bool,
    force_cpu: bool,
    batch: int,
    max_running: int,
    rate: int,
    timeout: float,
) -> None:
    """Answer POST /think with a validated final answer or a fixed text; every answer has its row in the audit log.

    Thinking never leaves the process. A row holds keyed digests, labels and numbers, and is committed before the answer
    is sent; if it cannot be, there is no answer (503). SIGTERM and Ctrl-C let what runs finish.

    \b
    Example:
      so8t serve --model runs/demo --ui
      so8t serve --model models/baked --upstream http://127.0.0.1:8001/v1 --db postgresql://audit@db.example/audit
      so8t serve --model models/baked --host 0.0.0.0 --token-file think.token --allowed-host think.example.org
      curl 127.0.0.1:8000/think -H content-type:application/json -d "{\\"user_id\\":\\"u\\",\\"query\\":\\"Hi\\"}"

    Exit code: 0 stopped by a signal, 1 the audit log cannot be opened, 2 wrong use or bad input.
    """
    from so8t.serve.settings import Settings, read_token

    settings = Settings(
        host=host,
        port=port,
        token=read_token(token_file) if token_file else None,
        allowed_hosts=frozenset(allowed_host),
        ui=ui,
        docs=docs,
        max_running=max_running,
        requests_per_minute=rate,
        generation_seconds=timeout,
    )
    if no_safety_model and safety_model is not None:
        raise click.UsageError("--safety-model and --no-safety-model exclude each other")
    if allow_unjudged and not no_safety_model:
        raise click.UsageError("--allow-unjudged means nothing beside a classifier: give --no-safety-model too")
    model = _Model(folder, base, upstream, upstream_model, upstream_token_file, force_cpu, batch)
    _check(model)
    key = _audit_key(key_file)
    judged = not no_safety_model
    gate = _gate(safety_model, judged=judged, quadruple=quadruple, allow_unjudged=allow_unjudged)
    _serve(settings, model, key, database, gate)


@click.command("serve-statement", short_help="What the audit log says, for the PoC report.")
@click.option(
    "--db",
    "--database",
    "database",
    envvar="SO8T_DB_PATH",
    default=DEFAULT_DATABASE,
    show_default=True,
    metavar="PATH|URL",
    help="Audit log: SQLite file or postgresql:// URL (also: SO8T_DB_PATH).",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="New file.  [default: standard output]")
def serve_statement(database: str, out: Path | None) -> None:
    """Write gate version, policy digest, chain heads and counts per outcome as JSON; nothing of any one request.

    \b
    Example:
      so8t serve-statement --out serving_statement.json

    Exit code: 0 done, 1 the database does not answer, 2 wrong use or no audit log.
    """
    from so8t.serve.statement import serving_statement

    statement = serving_statement(database, datetime.now(UTC))
    if out is None:
        click.echo(statement, nl=False)
        return
    try:
        write_new(out, statement)
    except FileExistsError:
        raise So8tError(f"{out} exists: choose another file with --out") from None
    except OSError as error:
        raise So8tError(f"{out} cannot be written ({error.strerror}): choose another file with --out") from None


def _gate(safety_model: Path | None, *, judged: bool, quadruple: bool, allow_unjudged: bool) -> Gate:
    from so8t.data.safety.classifier import SafetyClassifier
    from so8t.data.safety.judge import ClassifierJudge
    from so8t.serve.gate import Gate, GatePolicy

    policy = GatePolicy(quadruple=quadruple, allow_unjudged=allow_unjudged)
    if not judged:
        return Gate([], policy)
    return Gate([ClassifierJudge(SafetyClassifier.load(safety_model) if safety_model else None)], policy)


def _serve(settings: Settings, model: _Model, key: AuditKey, database: str, gate: Gate) -> None:
    from so8t.cli.train import quiet_libraries
    from so8t.serve.access_log import log_to
    from so8t.serve.app import create_app
    from so8t.serve.audit.log import AuditLog
    from so8t.serve.listening import listening_socket, make_server, run_until_signal

    quiet_libraries()
    source = _source(model)
    listener = listening_socket(settings.host, settings.port)
    audit = AuditLog(database, key)
    try:
        log_to(sys.stderr)
        settings = replace(
            settings,
            port=listener.getsockname()[1],
            model_id=_printable(model.folder.resolve().name),
            model_sha=_digest_of(source) if model.upstream is None else "",
        )
        generator = _generator(model, source)
        # A thread costs more than the classifier does for an ordinary text; a text is bounded by max_new_tokens.
        app = create_app(settings, generator, gate, audit, judge_in_thread=False)
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        click.echo(f"/think: http://{name}:{settings.port}/think (audit log: key {key.key_id})")
        server = make_server(
            app,
            header_seconds=settings.receive_seconds,
            drain_seconds=settings.generation_seconds + settings.receive_seconds,
        )
        run_until_signal(server, listener)
    finally:
        audit.close()
        listener.close()


def _audit_key(file: Path | None) -> AuditKey:
    """The key of a named file, which has to be there, or of the usual one, which is made the first time."""
    from so8t.serve.audit.keys import create_key, load_key

    if file is not None:
        return load_key(file)
    if _DEFAULT_KEY.exists():
        return load_key(_DEFAULT_KEY)
    key = create_key(_DEFAULT_KEY)
    click.echo(f"audit key {key.key_id} made: {_DEFAULT_KEY} (keep a copy where the database's backups are not)")
    return key


def _generator(model: _Model, source: Source) -> Generator:
    from so8t.serve.engine import Engine, load_model, load_tokenizer, serving_device
    from so8t.serve.prompting import Prompting
    from so8t.serve.settings import read_token
    from so8t.serve.upstream import Address, Upstream

    prompting = Prompting(load_tokenizer(source.checkpoint, source.base))
    if model.upstream is None:
        return Engine(load_model(source, serving_device(force_cpu=model.cpu)), prompting, model.batch)
    return Upstream(
        Address.of(model.upstream),
        model.upstream_model or model.folder.resolve().name,
        prompting,
        read_token(model.upstream_token) if model.upstream_token else None,
    )


def _check(model: _Model) -> None:
    """Refuse what cannot be before PyTorch is loaded, which takes seconds, and before anything is written."""
    from so8t.serve.upstream import Address

    if not model.folder.is_dir():
        what = "is a file" if model.folder.exists() else "does not exist"
        raise ConfigError(
            f"model folder {model.folder} {what}: name one that so8t train or so8t bake wrote with --model"
        )
    if model.upstream is not None:
        Address.of(model.upstream)


def _source(model: _Model) -> Source:
    """What is served: a run's final model, a checkpoint of one, or a folder with whole weights."""
    folder = model.folder
    from so8t.cli.bake import find_source
    from so8t.model.attach import GATES_FILE
    from so8t.model.bake_source import Source
    from so8t.training.preflight import check_model_folder

    if (folder / "training_session.json").exists() or (folder / "final").is_dir():
        return find_source(folder, None, model.base)
    if (folder / "adapter_config.json").exists() or (folder / GATES_FILE).exists():
        run = folder.resolve().parent
        return find_source(run.parent if run.name == "checkpoints" else run, folder, model.base)
    if model.upstream is None:
        check_model_folder(folder)
    return Source(checkpoint=folder, base=folder, base_name=folder.resolve().name, has_gates=False)


def _digest_of(source: Source) -> str:
    """One SHA-256 over the digests of all weight files that are served, by name."""
    import hashlib

    from so8t.model.weight_files import digest_weights

    folders = dict.fromkeys((source.checkpoint, source.base))
    lines = [f"{file.sha256}  {name}\n" for folder in folders for name, file in digest_weights(folder).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else " " for character in name)[:200] or "unnamed"
