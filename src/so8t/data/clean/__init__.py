"""Cleaning: a datatrove pipeline of small blocks, the same on one machine, on Slurm and on Ray."""
