"""What the PDF needs beside the document: the typst template, its few words, text and tables made ready for it."""
