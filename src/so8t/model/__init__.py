"""The SO(8) rotation gates, PET regularisation and how they are attached to a base model."""
