"""Collects from the tests' own site: what `so8t collect` does, with this machine's addresses permitted.

python collect_program.py SOURCES OUT [--limits JSON] [--kill-after N] [--file-bytes N]
"""

import argparse
import json
import os
import signal
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from kiseki.errors import KisekiError
from so8t.cli.collect import collect_and_tell
from so8t.data.collect.limits import Limits
from so8t.errors import So8tError

LOCAL = ip_network("127.0.0.1/32")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limits", type=json.loads, default={})
    parser.add_argument("--kill-after", type=int, default=-1)
    parser.add_argument("--file-bytes", type=int, default=0)
    options = parser.parse_args()
    if options.file_bytes:
        limit_files(options.file_bytes)
    lookups: list[str] = []

    def lookup(host: str) -> list[str]:
        lookups.append(host)
        if host == "unknown.test":
            raise OSError("no such name")
        if host == "inside.test":
            return ["127.0.0.1", "10.1.2.3"]
        if host == "moving.test" and lookups.count(host) > 1:
            return ["10.1.2.3"]
        return ["127.0.0.1"] if host.endswith(".test") else [host]

    limits = Limits(**{"least_seconds_between_requests": 0.0, "timeout_seconds": 20.0, "retries": 0, **options.limits})
    if options.kill_after >= 0:
        kill_after(options.kill_after)
    try:
        code = collect_and_tell(options.sources, options.out, allowed_networks=[LOCAL], lookup=lookup, limits=limits)
    except (So8tError, KisekiError) as error:
        print(f"so8t: error: {error}", file=sys.stderr)
        code = error.exit_code
    print("lookups", json.dumps({host: lookups.count(host) for host in lookups}))
    return code


def limit_files(size: int) -> None:
    """No file may grow beyond this: a disk that is full, for one file at a time."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def kill_after(decisions: int) -> None:
    """SIGKILL in the middle of the collection."""
    from so8t.data.collect.collection import Collection

    decide, left = Collection.decide, [decisions]

    def decide_and_die(self: Collection, *values: Any, **named: Any) -> None:
        decide(self, *values, **named)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    Collection.decide = decide_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
