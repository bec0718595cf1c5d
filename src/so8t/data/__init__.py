"""Quadruple-thinking data: the format, the parser and the token dataset."""
