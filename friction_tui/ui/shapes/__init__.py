"""The shape editor: which sizes can be chosen, and what a typed text makes of them."""
