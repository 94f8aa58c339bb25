"""Connected ink, against the obvious way to find it."""

import numpy
import pytest
from PIL import Image

from adapters.post.image import glyph_components


def flooded(ink: numpy.ndarray) -> list[list[int]]:
    """Components by filling one after the other."""
    left = {(int(y), int(x)) for y, x in numpy.argwhere(ink)}
    found = []
    while left:
        queue, members = [left.pop()], []
        while queue:
            y, x = queue.pop()
            members.append((y, x))
            for near in [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    queue.append(near)
        rows, columns = zip(*members, strict=True)
        found.append([min(columns), min(rows), max(columns) + 1, max(rows) + 1, len(members)])
    return sorted(found)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.35, 0.42, 0.6, 1.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_components_are_those_of_a_flood(density: float, seed: int) -> None:
    ink = numpy.random.default_rng(seed).random((41, 57)) < density
    picture = Image.fromarray(numpy.where(ink, 0, 255).astype("uint8"))
    # At 10 dots per inch nothing is too small; 3 rows are 8 mm.
    wanted = [box for box in flooded(ink) if (box[3] - box[1]) * 2.54 <= 8 and (box[2] - box[0]) * 2.54 <= 25]
    assert sorted(glyph_components(picture, 10)) == wanted


def test_a_spiral_is_one_component_and_ends() -> None:
    ink = numpy.zeros((90, 90), dtype=bool)
    y = x = 0
    step = (0, 1)
    for length in range(88, 4, -4):
        for _ in range(2):
            for _ in range(length):
                ink[min(y, 89), min(x, 89)] = True
                y, x = y + step[0], x + step[1]
            step = (step[1], -step[0])
    picture = Image.fromarray(numpy.where(ink, 0, 255).astype("uint8"))
    assert len(glyph_components(picture, 2000)) == len(flooded(ink))
