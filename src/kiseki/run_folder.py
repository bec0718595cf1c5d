"""Where everything in a run folder stands. The names are fixed by the specification; nothing else spells them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run.

    Args:
        root: the trainer's output folder.
        rank: whose journal is meant; world process zero's is the run's, another's stands in `metrics/ranks`.

    Example:
        >>> RunFolder(Path("runs/demo")).training_json.as_posix()
        'runs/demo/metrics/training_metrics.json'
    """

    root: Path
    rank: int = 0

    @property
    def metrics(self) -> Path:
        """The folder of the record and its views."""
        return self.root / "metrics"

    @property
    def journal(self) -> Path:
        """The truth; everything else can be rebuilt from it."""
        return self.ranks / f"rank_{self.rank:05d}.jsonl" if self.rank else self.metrics / "journal.jsonl"

    @property
    def journal_lock(self) -> Path:
        """Held by the one process that writes the journal."""
        return self.journal.with_suffix(".lock")

    @property
    def ranks(self) -> Path:
        """The folder of the other ranks' journals, where they keep any."""
        return self.metrics / "ranks"

    @property
    def views_lock(self) -> Path:
        """Held by whoever replaces the views."""
        return self.metrics / "views.lock"

    @property
    def training_json(self) -> Path:
        """All training rows that count, a JSON array."""
        return self.metrics / "training_metrics.json"

    @property
    def training_csv(self) -> Path:
        """The same rows, wide CSV."""
        return self.metrics / "training_metrics.csv"

    @property
    def evaluation_json(self) -> Path:
        """All evaluations that count, a JSON array."""
        return self.metrics / "evaluation_metrics.json"

    @property
    def evaluation_csv(self) -> Path:
        """The same evaluations, wide CSV."""
        return self.metrics / "evaluation_metrics.csv"

    @property
    def companion_log(self) -> Path:
        """What the companion process printed; empty when all is well."""
        return self.metrics / "companion.log"

    @property
    def earlier(self) -> Path:
        """Earlier runs that were recorded into the same folder, each whole; of another rank, its earlier journals."""
        return self.journal.parent / "earlier"

    @property
    def plots(self) -> Path:
        """The folder of the figures."""
        return self.root / "plots"

    @property
    def curves_png(self) -> Path:
        """The four panels."""
        return self.plots / "training_curves.png"

    @property
    def reports(self) -> Path:
        """The folder of the PoC reports."""
        return self.root / "poc_reports"

    def side_file(self, name: str, attempt: int) -> Path:
        """What only the owner may see of an attempt: `config`, `environment` or `report_inputs`.

        The first attempt's file has the plain name; a later attempt writes its own beside it, so that
        the digest in an earlier `open` line keeps matching.
        """
        suffix = "" if attempt == 1 else f".{attempt}"
        return self.metrics / f"{name}{suffix}.json"

    def relative(self, path: Path) -> str:
        """The path as reports name it: relative to the run folder, forward slashes."""
        return path.relative_to(self.root).as_posix()
