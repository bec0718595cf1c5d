"""Several runs in one report: how far apart runs of the same training lie."""
