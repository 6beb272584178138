"""A graph as rows and lanes of text. Pure functions, no terminal."""
