"""The way in: one row becomes one line (`row`, `line`), and one process appends lines to the journal (`journal`)."""
