"""What a text is about as far as safety goes: labels, the classifier that detects and refuses, and the guard.

Nothing here produces, ranks or hands back text.
"""
