"""Where a run came from: machine, software, source code; and what of that a stranger must not see."""
