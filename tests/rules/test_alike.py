"""One reason in many places is one finding."""

from friction_tui.kinds import structure
from friction_tui.rules.alike import FROM, united_alike
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity, Tier


def refused(name: str, size: int = 4) -> Finding:
    return Finding(
        kind="dynamic/baked-reshape",
        severity=Severity.ERROR,
        tier=Tier.SHAPES,
        title=f"Reshape {name} works only at N = 1",
        cause=f"{name} has the constant {size}.",
        source="rule",
        locations=(Location(LocationKind.NODE, name, "Reshape", f"p{name}"),),
        fixes=(Fix(f"Rewrite {name}.", rewrite="reshape", nodes=(f"p{name}",)),),
    )


def test_the_same_sentence_about_many_nodes_is_one_finding_with_one_fix_for_all() -> None:
    (one,) = united_alike([refused(name) for name in ("a", "a/b", "c.d")])
    assert one.title == "Reshape a works only at N = 1, and 2 more likewise"
    assert one.cause == "a has the constant 4. It is the same with a/b, c.d."
    assert one.names == ("a", "a/b", "c.d")
    assert one.fixes[0].nodes == ("pa", "pa/b", "pc.d")


def test_another_constant_or_too_few_are_told_apart() -> None:
    assert len(united_alike([refused("a"), refused("b"), refused("c", 8)])) == 3
    assert FROM == 3


def test_what_names_no_place_stays() -> None:
    findings = [structure.NO_OUTPUTS.finding(cause="…", locations=[], fixes=["…"]) for _ in range(4)]
    assert united_alike(findings) == findings
