"""The recorded tour: a cast that players take, small, from refused to saved, with nothing of the machine in it."""

import json
import re
from pathlib import Path

CAST = Path(__file__).parents[1] / "screenshots" / "tour.cast"


def test_the_tour_is_an_asciicast_that_shows_the_whole_way() -> None:
    assert CAST.stat().st_size < 2_000_000
    header, *events = map(json.loads, CAST.read_text(encoding="utf-8").splitlines())
    assert header["version"] == 2 and header["width"] > 0 and header["height"] > 0
    times = [at for at, _, _ in events]
    assert times == sorted(times) and {kind for _, kind, _ in events} == {"o"}
    drawn = "".join(text for _, _, text in events)
    said = ("parses ✗", "Who says", "no error remains", "built in", "p50", "writes a new file", "wrote")
    places = [drawn.find(text) for text in said]
    assert -1 not in places and places == sorted(places)
    assert not re.search(r"/(home|root|tmp|Users)/", drawn)
