"""What a flow shows of itself: lanes, records in flight and parked keys, by partition."""

from collections.abc import Iterable

from bus.clock import Clock, to_micros
from bus.delivery.lanes import Lanes
from bus.delivery.parking import ParkedKeys
from bus.log.port import TopicPartition
from bus.telemetry import Metrics

__all__ = ["FlowGauges"]


class FlowGauges:
    """Gauges of one group in one process. Partitions that went to another member are set to nothing once."""

    def __init__(self, group: str, metrics: Metrics, clock: Clock) -> None:
        self._group = group
        self._metrics = metrics
        self._clock = clock
        self._shown: set[tuple[str, int]] = set()

    def show(self, lanes: Lanes, parking: ParkedKeys, partitions: Iterable[TopicPartition]) -> None:
        """Set every gauge to what is so now. `partitions` are those that this member owns."""
        metrics, now = self._metrics, to_micros(self._clock.now())
        metrics.lanes.labels(self._group).set(lanes.keys)
        standing = parking.standing()
        owned = {(place.topic, place.partition) for place in partitions}
        for place in self._shown | owned | standing.keys():
            labels = (self._group, place[0], str(place[1]))
            keys, oldest = standing.get(place, (0, now))
            metrics.in_flight.labels(*labels).set(lanes.counts.get(place, 0))
            metrics.parked_keys.labels(*labels).set(keys)
            metrics.oldest_parked.labels(*labels).set(max(0, now - oldest) / 1e6)
        self._shown = owned
