"""How things look: roles, themes, lines of text, charts, amounts. Knows no panel and no key."""
