"""Other programs' logs made into run folders: what they say is kept, what they do not say stays unknown."""
