"""A member's progress against the simplest model: a set of finished offsets."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus.log.embedded_progress import PartitionProgress, pack_offsets, unpack_offsets


class ProgressMachine(RuleBasedStateMachine):
    """Hands out, finishes, takes back, crashes; the model never forgets which offsets were finished."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.finished: set[int] = set()
        self.out: set[int] = set()
        self.kept = (0, b"")
        self._restart()

    def _restart(self) -> None:
        next_offset, above = self.kept
        self.progress = PartitionProgress(partition_id=1, generation=1, next_offset=next_offset, finished_above=above)
        self.out = set()

    @rule(gap=st.integers(1, 5))
    def append(self, gap: int) -> None:
        self.log.append((self.log[-1] if self.log else 0) + gap)

    @rule(count=st.integers(1, 6))
    def fetch(self, count: int) -> None:
        waiting = [offset for offset in self.log if offset >= self.progress.position][:count]
        known = self.progress.hand_out(waiting)
        assert known == self.finished & set(waiting)
        self.out |= set(waiting) - known

    @precondition(lambda self: self.out)
    @rule(data=st.data(), commit=st.booleans())
    def finish(self, data: st.DataObject, commit: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.out)), unique=True, min_size=1))
        assert all(self.progress.finish(offset) for offset in chosen)
        assert not self.progress.finish(chosen[0])
        if commit:
            self.kept = self.progress.to_keep()
            self.progress.settle()
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
        next_offset, above = self.kept
        kept = set(unpack_offsets(next_offset, above))
        assert {offset for offset in self.log if offset < next_offset} | kept == self.finished

    @invariant()
    def what_never_was_out_cannot_be_finished(self) -> None:
        assert not self.progress.finish(10**9)


TestProgress = ProgressMachine.TestCase
TestProgress.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_packing_is_small_and_exact() -> None:
    offsets = list(range(5_000_000_007, 5_000_003_000, 3))
    packed = pack_offsets(5_000_000_000, offsets)
    assert unpack_offsets(5_000_000_000, packed) == offsets
    assert len(packed) <= 3 * len(offsets) + 5
    assert (pack_offsets(7, []), unpack_offsets(7, b"")) == (b"", [])
