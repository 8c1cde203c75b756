"""Who sends worker streams away, and how many."""

import pytest

from podium.processes.share import ROUND_MAX, excess


@pytest.mark.parametrize(
    ("streams", "away"),
    [
        ([], []),
        ([0, 0], [0, 0]),
        ([1, 0], [0, 0]),  # one stream cannot be shared
        ([2, 0], [1, 0]),
        ([2, 1], [0, 0]),
        ([3, 0], [1, 0]),
        ([55, 45], [0, 0]),  # no clear difference
        ([80, 20], [30, 0]),
        ([2, 1, 1, 0], [1, 0, 0, 0]),
        ([40, 40, 0], [13, 13, 0]),  # the third has come back
        ([1_000, 0], [ROUND_MAX, 0]),
    ],
)
def test_only_a_clear_excess_is_moved(streams: list[int], away: list[int]) -> None:
    assert excess(streams) == away
