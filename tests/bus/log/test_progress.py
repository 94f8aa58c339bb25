"""A member's progress against the simplest model: a set of finished offsets."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus.log.progress import PartitionProgress, Standing


class ProgressMachine(RuleBasedStateMachine):
    """Hands out, finishes, takes back, crashes; the model never forgets which offsets were finished."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.finished: set[int] = set()
        self.out: set[int] = set()
        self.kept = Standing(0)
        self._restart()

    def _restart(self) -> None:
        standing = Standing.of(self.kept.next_offset, self.kept.pack())
        assert standing == self.kept
        self.progress = PartitionProgress(partition_id=1, generation=1, standing=standing)
        self.out = set()

    @rule(gap=st.integers(1, 5))
    def append(self, gap: int) -> None:
        self.log.append((self.log[-1] if self.log else 0) + gap)

    @rule(count=st.integers(1, 6))
    def fetch(self, count: int) -> None:
        waiting = [offset for offset in self.log if offset >= self.progress.position][:count]
        known = self.progress.hand_out(waiting)
        assert known == self.finished & set(waiting)
        # Unless nothing is left, a read begins with something to do.
        assert not waiting or waiting[0] not in known
        self.out |= set(waiting) - known

    @precondition(lambda self: self.out)
    @rule(data=st.data(), commit=st.booleans())
    def finish(self, data: st.DataObject, commit: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.out)), unique=True, min_size=1))
        assert all(self.progress.finish(offset) for offset in chosen)
        assert not self.progress.finish(chosen[0])
        if commit:
            self.kept = self.progress.standing()
            self.finished |= set(chosen)
            self.out -= set(chosen)
        else:
            for offset in reversed(chosen):
                self.progress.unfinish(offset)

    @rule()
    def crash(self) -> None:
        self._restart()

    @invariant()
    def what_is_kept_says_exactly_what_is_finished(self) -> None:
        kept = {offset for offset in self.log if offset < self.kept.high} - set(self.kept.unfinished)
        assert kept == self.finished
        assert all(offset in kept for offset in self.log if offset < self.kept.next_offset)

    @invariant()
    def what_never_was_out_cannot_be_finished(self) -> None:
        assert not self.progress.finish(10**9)


TestProgress = ProgressMachine.TestCase
TestProgress.settings = settings(max_examples=60, stateful_step_count=30)


def test_one_record_that_is_retried_for_long_does_not_make_the_row_longer() -> None:
    progress = PartitionProgress(partition_id=1, generation=1, standing=Standing(5_000_000_000))
    progress.hand_out([5_000_000_001])
    for offset in range(5_000_000_002, 5_000_100_000, 7):
        progress.hand_out([offset])
        assert progress.finish(offset)
    standing = progress.standing()
    assert standing.unfinished == (5_000_000_001,)
    assert len(standing.pack()) < 10
    again = PartitionProgress(partition_id=1, generation=2, standing=Standing.of(standing.next_offset, standing.pack()))
    assert again.hand_out([5_000_000_001, 5_000_000_002, 5_000_200_000]) == {5_000_000_002}
