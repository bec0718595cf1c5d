"""The audit log of `/think`: keyed digests, labels and numbers in chained rows, never a text."""
