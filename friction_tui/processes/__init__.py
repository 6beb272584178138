"""Child processes: how they are started, spoken to and limited, how they end, and how their end is described.

`begin` is what a Python child of ours runs first, `child` the parent's end, `server` a child that is asked again and
again, `ended` the sentence about an end, `stdio` the child's own standard output.
"""
