"""The report: `dossier` gathers the facts once, renderers are pure functions of it, `generate` writes the files."""
