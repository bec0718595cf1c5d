"""Import paths for trainers that already use them."""
