"""A node is found again after others were put in front of it; one that is gone is not replaced by its neighbour."""

from friction_tui.drawing.order import with_order
from friction_tui.drawing.same_items import labels, named, same_items
from friction_tui.vocabulary.protocol import GraphData


def chain(*nodes: tuple[str, str]) -> GraphData:
    """Nodes (operator, name) that read each other in turn."""
    count = len(nodes)
    return with_order(
        GraphData(
            names=[name for _, name in nodes],
            ops=[op for op, _ in nodes],
            paths=[str(at) for at in range(count)],
            inputs=[[at - 1] if at else [] for at in range(count)],
            scopes=[0] * count,
            scope_table=[()],
            order=[],
            main=count,
        )
    )


BEFORE = chain(("Relu", "a"), ("Reshape", "b"), ("Relu", "c"), ("Reshape", "d"))


def test_items_move_with_what_is_put_in_front() -> None:
    after = chain(("Cast", "new"), ("Relu", "a"), ("Reshape", "b"), ("Cast", "other"), ("Relu", "c"), ("Reshape", "d"))
    assert same_items(BEFORE, after, ("0", "1", "2", "3")) == {"0": "1", "1": "2", "2": "4", "3": "5"}
    assert named(after, labels(BEFORE, ("1", "3"))) == {"1": "2", "3": "5"}


def test_what_is_gone_is_not_taken_for_another() -> None:
    after = chain(("Relu", "a"), ("Reshape", "other"), ("Gemm", "c"), ("Reshape", "d"))
    assert same_items(BEFORE, after, ("1", "2", "3")) == {"3": "3"}
    assert named(after, labels(BEFORE, ("1", "2", "3"))) == {"3": "3"}


def test_of_several_with_one_name_the_neighbours_decide() -> None:
    before = chain(("Relu", "in"), ("Add", "x"), ("Mul", "p"), ("Add", "x"), ("Mul", "q"))
    after = chain(("Cast", "new"), ("Relu", "in"), ("Add", "x"), ("Mul", "p"), ("Add", "x"), ("Mul", "q"))
    assert same_items(before, after, ("1", "3")) == {"1": "2", "3": "4"}
    assert named(after, {"9": "Add x"}) == {}, "without the neighbours nobody can tell"
