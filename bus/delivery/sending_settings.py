"""Section `[sending]`: how fast replies leave, how long one may wait or be in doubt."""

from typing import Annotated

import msgspec

from bus.adapter.contract import Manifest
from bus.store.pace import Pace

__all__ = ["SendingSettings"]


class SendingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for all channels; a channel's own pace stands in its manifest (`replies_per_minute`).

    Only what software writes is paced, and never what a person on the line or in a chat window waits for.
    """

    recipient_burst: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    """Replies to one address at once. A matter with acknowledgement, confirmation, question, answer and goodbye has
    five; two machines that answer each other, or somebody who lets us write to a stranger, are soon above ten."""
    recipient_every_s: Annotated[float, msgspec.Meta(ge=0.01, le=86_400)] = 120.0
    """After that one per two minutes: whoever reads and writes by hand is not slowed down, a loop is."""
    per_minute: dict[str, Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]] = {}
    """Replies of one tenant through a channel by minute, where the manifest's number does not suit."""
    overtaken_live_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 30.0
    """How long an answer waits for the decision on newer words before a person is told; on a live channel half of the
    minute that we promise."""
    overtaken_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 3_600.0
    """The same for mail and post: a worker that is being repaired is usually back within the hour."""
    lease_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 180.0
    """An attempt that is seen under way for longer is in doubt: a handler is cut off after 120 s."""
    reconcile_every_s: Annotated[float, msgspec.Meta(ge=0.05, le=3_600)] = 60.0

    def to_recipient(self) -> Pace:
        """The pace for one address."""
        return Pace(burst=self.recipient_burst, every_s=self.recipient_every_s)

    def of_channel(self, manifest: Manifest) -> Pace:
        """The pace of a tenant's channel: a minute's share at once, then evenly."""
        count = self.per_minute.get(manifest.name, manifest.replies_per_minute)
        return Pace(burst=count, every_s=60.0 / count)

    def overtaken_wait_s(self, manifest: Manifest) -> float:
        """How long an overtaken answer waits on a channel."""
        return self.overtaken_live_s if manifest.kind.startswith("live") else self.overtaken_s
