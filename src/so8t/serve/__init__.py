"""Serving: a question comes in, a validated final answer or a fixed message goes out, an audit row stays."""
