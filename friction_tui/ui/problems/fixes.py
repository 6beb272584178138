"""The fixes for one problem: those the tool carries out on Enter, and those the user makes in their own code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui.report.difference import lines as difference_lines
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.derived import changed_text, identity, verification_span
from friction_tui.state.user_actions import ShowPreview
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.panel import Ask, Edit, Say, differs
from friction_tui.ui.problems.why import headline
from friction_tui.vocabulary.finding import Finding, Fix, Severity, fix_first
from friction_tui.vocabulary.protocol import Preview
from friction_tui.vocabulary.recipe import Profile, Recipe, Rewrite

if TYPE_CHECKING:
    from friction_tui.ui.workbench import Workbench

PREVIEW_LINES = 60
"""Lines of a difference that are shown; the rest is counted."""
PREVIEW_ROLES = {"-": "error", "+": "good", "~": "note", "@": "muted"}
"""By the first sign of a line of a difference."""
CLOSE = "close"
"""The key of the one entry there is once a fix is applied."""


def applied(recipe: Recipe, fix: Fix) -> Recipe:
    """The recipe with a fix in it. Ranges join the profile as the user's own choice."""
    for key, chosen in fix.ranges.items():
        recipe = recipe.with_range(key, chosen)
    if fix.relations:
        profile = recipe.profile or Profile()
        recipe = recipe.with_relations(tuple(dict.fromkeys((*profile.relations, *fix.relations))))
    if fix.opset is not None:
        recipe = msgspec.structs.replace(recipe, opset=fix.opset)
    rewrite = Rewrite(fix.rewrite, fix.nodes)
    if fix.rewrite and rewrite not in recipe.rewrites:
        recipe = msgspec.structs.replace(recipe, rewrites=(*recipe.rewrites, rewrite))
    return recipe


def what_it_does(fix: Fix) -> str:
    """What Enter changes, in words; "" for a fix made by hand."""
    parts = []
    if fix.rewrite:
        where = f" at {len(fix.nodes)} node{'s' if len(fix.nodes) != 1 else ''}" if fix.nodes else ""
        parts.append(f"rewrites the model ({fix.rewrite}{where}) and then compares the outputs of both")
    for key, chosen in fix.ranges.items():
        step = f" step {chosen.step}" if chosen.step > 1 else ""
        parts.append(f"sets {key} to {chosen.min}..{chosen.opt}..{chosen.max}{step}")
    parts += [f"declares {relation}" for relation in fix.relations]
    if fix.opset is not None:
        parts.append(f"converts to opset {fix.opset}")
    return ", ".join(parts)


def promise(fix: Fix) -> Span | None:
    """What the fix promises about the results: `exact`, `equal up to rounding`, or how they change."""
    if not fix.exactness:
        return None
    changes = fix.exactness.startswith("changes")
    return f"{fix.exactness}: {fix.changes}" if fix.changes else fix.exactness, "warning" if changes else "good"


def title(fix: Fix) -> str:
    """The text of a fix without its promise, which is shown apart."""
    said = promise(fix)
    ending = f" ({said[0]})." if said is not None else ""
    return f"{fix.text.removesuffix(ending)}." if ending and fix.text.endswith(ending) else fix.text


def at_same_place(state: AppState, finding: Finding) -> list[Finding]:
    """The findings about the node that `finding` is looked at, errors first; `finding` alone where it has no node."""
    paths = finding.node_paths
    node = state.selected if state.selected in paths else next(iter(paths), "")
    found = [one for one in state.findings if node in one.node_paths] if node else []
    return fix_first(found if finding in found else [*found, finding])


@dataclass(frozen=True, slots=True)
class Offer:
    """A fix of one of the findings, with its number in the dialog."""

    number: int
    finding: Finding
    fix: Fix

    @property
    def rewrite(self) -> Rewrite | None:
        """What it puts into the recipe, None for a fix that rewrites nothing."""
        return Rewrite(self.fix.rewrite, self.fix.nodes) if self.fix.rewrite else None

    def __hash__(self) -> int:
        return self.number


class FixesScreen(ChoiceScreen):
    """Enter applies, or copies the text of a fix that is made by hand, as `c` does.

    What was applied is shown with the verdict and the comparison of the results as they come. `p` shows what a
    rewrite would change, as text and in the graph of `bench`. What else is wrong with the node is shown with it, errors
    first.
    """

    KEYS_TO_APPLY = "Enter x apply   p preview   c copies the text   Esc leaves"
    KEYS_BY_HAND = "Enter copies the text   Esc leaves"
    KEYS_APPLIED = "Enter closes   n next   b build   u undo"
    KEYS_TAKEN_BACK = "Enter closes   K keeps it anyway"
    DRAWN = frozenset({"previews", "verification", "judged", "history", "notices", "taken_back", "mended", "findings"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", show=False, id="fixes.copy", tooltip="Copy this fix as text"),
        Binding("x", "apply", "Apply", show=False, id="fixes.apply", tooltip="Carry out the fix under the cursor"),
        Binding("p", "preview", "Preview", show=False, id="fixes.preview", tooltip="Show what this fix would change"),
        *(
            Binding(key, f"pass_on('{action}')", label, show=False, id=f"fixes.{key}", tooltip=tooltip)
            for key, action, label, tooltip in (
                ("n", "problem.next", "Next", "Close, and go to the next problem"),
                ("b", "build.start", "Build", "Close, and build"),
                ("u", "recipe.undo", "Undo", "Close, and undo the fix"),
                ("K", "problem.keep", "Keep", "Keep a fix that was taken back"),
            )
        ),
        *(
            Binding(str(at), f"number({at})", f"Fix {at}", show=False, id=f"fixes.{at}", tooltip=f"Go to fix {at}")
            for at in range(1, 10)
        ),
    ]

    def __init__(self, state: AppState, finding: Finding, bench: Workbench | None = None) -> None:
        self.state, self._bench, self._finding = state, bench, finding
        self._findings: list[Finding] = []
        self.offers: list[Offer] = []
        self._chose = False
        """Whether the user moved the cursor."""
        self._previewing = False
        self._asked: set[Rewrite] = set()
        self._applied: Offer | None = None
        self._edited: Recipe | None = None
        """The recipe that applying it made."""
        self._revision = 0
        """Of the state in which it was applied; that of the edit is newer."""
        super().__init__("Fixes", self._lines, self._gather(), state=state)
        self.KEYS = self._keys()

    def _gather(self) -> Offer | None:
        """The fixes as they are known now; returns the one to begin with, of the chosen finding."""
        state = self.state
        same = (one for one in state.findings if identity(one) == identity(self._finding))
        self._finding = self._finding if self._finding in state.findings else next(same, self._finding)
        self._findings = at_same_place(state, self._finding)
        fixes = [(one, fix) for one in self._findings for fix in one.fixes]
        self.offers = [Offer(number, one, fix) for number, (one, fix) in enumerate(fixes, start=1)]
        own = [offer for offer in self.offers if offer.finding == self._finding]
        return next((offer for offer in own if offer.fix.applicable), next(iter(own), None))

    # ------------------------------------------------------------------------------------------- what is shown

    def state_changed(self, before: AppState) -> None:
        """Show what is known by now of a preview, or of a fix that was applied."""
        state = self.state
        if differs(before, state, self.DRAWN):
            keep: Offer | None = None
            if self._applied is None and before.findings is not state.findings:  # fixes are offered once they are tried
                was, first = self._offer, self._gather()
                same = (offer for offer in self.offers if was is not None and offer.fix == was.fix)
                keep = next(same, None) if self._chose else first
            self._list.rebuild(keep)
            self._list.border_subtitle = self._keys()
            if before.previews is not state.previews:
                self._show_in_graph()

    def _keys(self) -> str:
        if self._applied is None:
            return self.KEYS_TO_APPLY if any(offer.fix.applicable for offer in self.offers) else self.KEYS_BY_HAND
        return self.KEYS_TAKEN_BACK if self._taken_back else self.KEYS_APPLIED

    @property
    def _offer(self) -> Offer | None:
        """The fix under the cursor, which may be on a line of its preview."""
        key = self.current
        return key if isinstance(key, Offer) else key[0] if isinstance(key, tuple) else None

    @property
    def _taken_back(self) -> bool:
        taken = self.state.taken_back
        return taken is not None and taken.recipe == self._edited

    def _lines(self, width: int) -> list[Line]:
        if self._applied is not None:
            return self._outcome(self._applied, width)
        lines: list[Line] = []
        for finding in self._findings:
            lines += [Line()] if lines else []
            lines += [*headline(finding, width, ascii_only=self.state.ascii), Line()]
            for offer in self.offers:
                if offer.finding is finding:
                    lines += self._entry(offer, width)
            if not finding.fixes:
                none = "no fix is known; searching for the engine's message may help (W, then v)"
                said = "fixes are still being looked for …" if self.state.checking else none
                lines += paragraph(said, width, "muted")
        return lines

    def _entry(self, offer: Offer, width: int) -> list[Line]:
        fix, recipe = offer.fix, self.state.recipe
        done = recipe is not None and fix.applicable and applied(recipe, fix) == recipe
        mark: Span = ("x  ", "key") if fix.applicable and not done else ("   ", "text")
        lines = paragraph(title(fix), width, "text", indent=((f"{offer.number}  ", "muted"), mark), key=offer)
        margin: tuple[Span, ...] = (("      ", "text"),)
        said = promise(fix)
        if said is not None:
            lines += paragraph(said[0], width, said[1], indent=margin, key=offer)
        line = offer.finding.line
        by_hand = f"for you to make in {line.file}:{line.line}" if line else "for you to make in your own code"
        text = "already in the recipe" if done else what_it_does(fix) or by_hand
        lines += paragraph(text, width, "note" if fix.applicable else "muted", indent=margin, key=offer)
        verification = verification_span(self.state) if done and fix.rewrite else None
        if verification is not None:
            lines += paragraph(verification[0], width, verification[1], indent=margin, key=offer)
        if self._previewing and fix.applicable and self._offer in (offer, None):
            lines += self._difference(offer, width)
        return lines

    def _difference(self, offer: Offer, width: int) -> list[Line]:
        """What the rewrite would change, one line a fact."""
        margin: tuple[Span, ...] = (("      ", "text"),)
        if offer.rewrite is None:
            text = "no node changes" if offer.fix.opset is None else "o shows what converting changes"
            return paragraph(text, width, "muted", indent=margin, key=offer)
        preview = self.state.previews.get(offer.rewrite)
        if preview is None:
            return paragraph("making the preview …", width, "muted", indent=margin, key=offer)
        if preview.difference is None:
            return paragraph(f"does not apply: {preview.why_not}", width, "warning", indent=margin, key=offer)
        facts = list(difference_lines(preview.difference))
        lines = []
        for at, fact in enumerate(facts[:PREVIEW_LINES]):  # each an entry of its own, for the cursor to scroll through
            sign = fact.lstrip()[:1]
            inner = ((" " * (6 + len(fact) - len(fact.lstrip())), "text"),)
            lines += paragraph(fact.strip(), width, PREVIEW_ROLES.get(sign, "text"), indent=inner, key=(offer, at))
        if len(facts) > PREVIEW_LINES:
            more = f"and {len(facts) - PREVIEW_LINES} more; friction-tui fix --diff shows all"
            lines += paragraph(more, width, "muted", indent=margin, key=(offer, PREVIEW_LINES))
        return lines

    def _outcome(self, offer: Offer, width: int) -> list[Line]:
        """What applying a fix came to, as far as it is known."""
        state = self.state
        tick, cross = ("+", "X") if state.ascii else ("✓", "✗")
        if self._taken_back and state.taken_back is not None:
            lines = paragraph(title(offer.fix), width, "strong", indent=((f"{cross} ", "error"),), key=CLOSE)
            why = f"taken back, because the outputs are not the same: {state.taken_back.why}"
            return [*lines, *self._indented(((why, "error"), ("the model is as it was before", "muted")), width)]
        if state.recipe != self._edited and state.revision > self._revision:
            refused = state.notices[-1].text if state.notices else ""
            lines = paragraph(title(offer.fix), width, "strong", indent=((f"{cross} ", "error"),), key=CLOSE)
            return [*lines, *self._indented(((f"not applied: {refused}", "error"),), width)]
        lines = paragraph(title(offer.fix), width, "strong", indent=((f"{tick} ", "good"),), key=CLOSE)
        return [*lines, *self._indented(self._known(offer), width)]

    def _known(self, offer: Offer) -> Iterable[Span]:
        """The promise, the verdict, the comparison of the results."""
        state = self.state
        said = promise(offer.fix)
        if said is not None:
            yield f"promised: {said[0]}", said[1]
        if state.checking or state.revision == self._revision:
            yield "applied; checking the model again …", "note"
        else:
            yield changed_text(state) or "no finding changed", "text"
            errors = [finding for finding in state.findings if finding.severity is Severity.ERROR]
            more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
            yield (f"still an error: {errors[0].title}{more}", "error") if errors else ("no error remains", "good")
        verification = verification_span(state) if offer.fix.rewrite else None
        if verification is not None:
            yield verification

    def _indented(self, spans: Iterable[Span], width: int) -> list[Line]:
        return [
            line for text, role in spans for line in paragraph(text, width, role, indent=(("  ", "text"),), key=CLOSE)
        ]

    # ------------------------------------------------------------------------------------------- keys

    def chosen(self, key: object) -> None:
        """Apply it, or copy what the user must do; once applied, close."""
        recipe = self.state.recipe
        if key == CLOSE:
            self.dismiss(None)
        offer = self._offer
        if offer is None or recipe is None:
            return
        if not offer.fix.applicable:
            self.action_copy()
            return
        edited = applied(recipe, offer.fix)
        if edited == recipe:
            self.post_message(Say("this fix is already in the recipe", NoticeLevel.INFO, "u undoes the last edit"))
            self.dismiss(None)
            return
        self._applied, self._edited, self._previewing = offer, edited, False
        self._revision = self.state.revision
        self.remove_class("-preview")
        self.post_message(Edit(edited, f"fix: {offer.fix.text}"))
        self._list.rebuild()
        self._list.border_subtitle = self._keys()

    def action_number(self, number: int) -> None:
        """The cursor to the fix of that number."""
        if number <= len(self.offers) and self._applied is None:
            self._list.rebuild(self.offers[number - 1])
            self._look_ahead()

    def action_apply(self) -> None:
        """What the tool can carry out; the rest is the user's to make, and is said to be."""
        if self._applied is not None:
            self.dismiss(None)
        elif self._offer is not None and self._offer.fix.applicable:
            self.chosen(self._offer)
        else:
            self.post_message(Say("you make this change in your own code", NoticeLevel.INFO, "Enter copies its text"))

    def action_copy(self) -> None:
        """The fix's text to the clipboard."""
        if self._offer is not None:
            self.app.copy_to_clipboard(self._offer.fix.text)
            self.post_message(
                Say(
                    "copied",
                    NoticeLevel.INFO,
                    "nothing pasted? your terminal does not support OSC 52: W shows the text",
                )
            )

    async def action_pass_on(self, action: str) -> None:
        """Once a fix is applied: an action of the workbench; keeping what was taken back leaves the outcome open."""
        if self._applied is None or self._bench is None:
            return
        if action != "problem.keep":
            self.dismiss(None)
        await self._bench.action_do(action)

    # ------------------------------------------------------------------------------------------- preview

    def action_preview(self) -> None:
        """Show what the fix under the cursor would change, or no more."""
        if self._applied is not None:
            return
        if not any(offer.fix.applicable for offer in self.offers):
            self.post_message(Say("there is nothing to preview", NoticeLevel.INFO, "you make this change yourself"))
            return
        self._previewing = not self._previewing
        self.set_class(self._previewing, "-preview")
        self._look_ahead()
        self._list.rebuild()
        self._list.call_after_refresh(self._list.show_entry)

    def on_lines_panel_moved(self, event: LinesPanel.Moved) -> None:
        """The preview follows the cursor."""
        self._chose = True
        super().on_lines_panel_moved(event)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Ask the worker for the preview of the fix under the cursor, once."""
        rewrite = self._offer.rewrite if self._offer is not None and self._previewing else None
        if rewrite is not None and rewrite not in self.state.previews and rewrite not in self._asked:
            self._asked.add(rewrite)
            self.post_message(Ask(Preview(self.state.revision, rewrite)))
        if self._bench is not None:
            self._bench.friction.live.dispatch(ShowPreview(rewrite))
        self._show_in_graph()

    def _show_in_graph(self) -> None:
        """The first node that would change is shown in one half of the screen, this dialog in the other."""
        if self._bench is not None and self._previewing and self._offer is not None:
            self.set_class(self._bench.show_change(), "-above")

    def on_unmount(self) -> None:
        """The graph's marks go with the dialog."""
        if self._bench is not None and self._bench.friction.live.state.previewed is not None:
            self._bench.friction.live.dispatch(ShowPreview(None))
