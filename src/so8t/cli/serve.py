"""`so8t serve`: the /think server."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from so8t.cli.audit import DEFAULT_DATABASE

if TYPE_CHECKING:
    from so8t.data.safety.judge import ClassifierJudge
    from so8t.serve.audit.keys import AuditKey

_DEFAULT_KEY = Path("database/so8t_audit.key")


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
@click.option("--no-safety-model", is_flag=True, help="Judge without a classifier.")
@click.option(
    "--heads/--no-heads",
    default=None,
    help="Ask the safety heads that so8t heads train put beside the weights.  [default: where there are any]",
)
@click.option(
    "--allow-unjudged",
    is_flag=True,
    help="With neither of them: let well-formed answers out whose thinking states no label; else a person is called.",
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
    heads: bool | None,
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
    from so8t.cli.served_model import ServedModel, check, digest_of, find, find_heads, load
    from so8t.cli.train import quiet_libraries
    from so8t.serve.access_log import log_to
    from so8t.serve.answering import longest_seconds
    from so8t.serve.app import create_app
    from so8t.serve.audit.keys import load_key
    from so8t.serve.audit.log import AuditLog
    from so8t.serve.gate import Gate, GatePolicy
    from so8t.serve.listening import listening_socket, make_server, run_until_signal
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
    model = ServedModel(folder, base, upstream, upstream_model, upstream_token_file, force_cpu, batch)
    check(model)
    key = load_key(key_file) if key_file is not None else None
    quiet_libraries()
    source = find(model)
    heads_file = find_heads(model, source, wanted=heads)
    if allow_unjudged and heads_file is not None:
        raise click.UsageError("--allow-unjudged means nothing beside safety heads: give --no-heads too")
    classifier = None if no_safety_model else _classifier(safety_model)
    policy = GatePolicy(quadruple=quadruple, allow_unjudged=allow_unjudged)
    with listening_socket(settings.host, settings.port) as listener:
        key = key or _usual_key()
        with closing(AuditLog(database, key)) as audit:
            log_to(sys.stderr)
            settings = replace(
                settings,
                port=listener.getsockname()[1],
                model_id=_printable(folder.resolve().name),
                model_sha=digest_of(source) if upstream is None else "",
            )
            generator, heads_judge = load(model, source, heads_file)
            judges = [judge for judge in (classifier, heads_judge) if judge is not None]
            # A thread costs more than the classifier does for an ordinary text, bounded by max_new_tokens.
            app = create_app(settings, generator, Gate(judges, policy), audit, judge_in_thread=heads_judge is not None)
            server = make_server(
                app,
                header_seconds=settings.receive_seconds,
                drain_seconds=longest_seconds(settings, audit.commit_seconds),
            )
            click.echo(f"judged by: {', '.join(judge.name for judge in judges) or 'labels stated in the thinking'}")
            name = f"[{settings.host}]" if ":" in settings.host else settings.host
            if settings.ui:
                click.echo(f"page: http://{name}:{settings.port}/")
            click.echo(f"/think: http://{name}:{settings.port}/think (audit log: {_place(database)}, key {key.key_id})")
            run_until_signal(server, listener)


def _classifier(folder: Path | None) -> ClassifierJudge:
    from so8t.data.safety.classifier import SafetyClassifier
    from so8t.data.safety.judge import ClassifierJudge

    return ClassifierJudge(SafetyClassifier.load(folder) if folder else None)


def _place(database: str) -> str:
    """Where the audit log is, without user name, password and parameters.

    Example:
        >>> _place("database/audit.db"), _place("postgresql://audit:secret@db.example:5433/log?password=secret")
        ('database/audit.db', 'postgresql://db.example:5433/log')
    """
    from so8t.serve.audit.database import database_url, sqlite_file

    url = database_url(database)
    port = f":{url.port}" if url.port else ""
    return str(sqlite_file(url) or f"postgresql://{url.host or ''}{port}/{url.database or ''}")


def _usual_key() -> AuditKey:
    """The key at its usual place, made the first time."""
    from so8t.serve.audit.keys import create_key, load_key

    if _DEFAULT_KEY.exists():
        return load_key(_DEFAULT_KEY)
    key = create_key(_DEFAULT_KEY)
    click.echo(f"audit key {key.key_id} made: {_DEFAULT_KEY} (keep a copy where the database's backups are not)")
    return key


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else " " for character in name)[:200] or "unnamed"
