"""Evidence: what stands in a run folder, listed, hashed, signed, packed, and checked again by somebody else."""
