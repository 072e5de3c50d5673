"""Time spent waiting for batches."""

import time

import pytest

from htcv_lib.data.batches import TimedBatches


class Slow:
    """Two batches, each 20 ms late, and a place in a stream."""

    def __len__(self):
        return 2

    def __iter__(self):
        for number in range(2):
            time.sleep(0.02)
            yield {"index": number}

    def state_dict(self):
        return {"epoch": 3}


def test_waiting_is_counted_and_what_happens_between_batches_is_not():
    timed = TimedBatches(Slow())
    for _ in timed:
        time.sleep(0.05)
    assert 0.04 <= timed.waited_s < 0.09


def test_the_batches_are_the_same_and_so_is_their_state():
    timed = TimedBatches(Slow())
    assert [batch["index"] for batch in timed] == [0, 1]
    assert len(timed) == 2 and timed.state_dict() == {"epoch": 3}


def test_the_share_is_of_the_whole_training_and_never_above_one():
    timed = TimedBatches(Slow())
    timed.waited_s = 2.0
    assert timed.share(8.0) == 0.25
    assert timed.share(1.0) == 1.0
    with pytest.raises(ValueError, match="more than 0"):
        timed.share(0.0)
