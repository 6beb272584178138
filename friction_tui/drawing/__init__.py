"""A graph as rows and lanes of text. Pure functions, no terminal.

    graph = with_order(graph)                     # order.py: GraphData.order, off the UI thread
    outline = Outline(graph)                      # outline.py: rows, folds, marks
    text = RowText(outline, lanes=8)              # text.py: a row as (text, Role) segments
    text.prepare(0, 24)
    text.segments(0, 80)

order → groups → rows → lanes → gutter → text; each file knows only those before it.
"""
