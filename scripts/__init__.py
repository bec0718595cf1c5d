"""Entry points by file path, as the specification names them; the code is in `kiseki` and `so8t`."""
