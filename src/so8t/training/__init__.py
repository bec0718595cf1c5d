"""The training job: configuration, trainer, recovery."""
