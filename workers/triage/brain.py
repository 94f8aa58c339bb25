"""A pack's reader, model and thresholds together: from texts to understandings, many at once."""

import contextlib
import zipfile
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from workers.case.work import Understanding
from workers.packs import Pack
from workers.triage.language import Hints
from workers.triage.matters import Parts, further_matters, may_have_further, to_each_its_own
from workers.triage.model import Model, Prediction, model_path
from workers.triage.reading import MAX_CHARACTERS, Reader, Reading, masked_part
from workers.triage.thresholds import Thresholds, choose
from workers.triage.understand import Context, understand

__all__ = ["Brain", "Message", "train_model"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be understood: the text that somebody wrote this time, and what is known beside it."""

    text: str
    subject: str = ""
    hints_case: str = ""
    hints_channel: str = ""
    hints_number: str = ""
    context: Context = Context()

    def hints(self) -> Hints:
        """The language priors."""
        return Hints(case=self.hints_case, channel=self.hints_channel, number=self.hints_number)


class Brain:
    """Understands for one pack. Safe to use from one thread at a time."""

    def __init__(self, pack: Pack, reader: Reader, model: Model) -> None:
        self.pack = pack
        self.model = model
        self.thresholds: Thresholds = choose(model.folds, pack)
        self._reader = reader
        self._parts = Parts(pack)

    @staticmethod
    def open(pack: Pack, data_dir: Path | None) -> "Brain":
        """With the model of the data folder, or a newly trained one that is then kept there."""
        reader = Reader(pack)
        path = model_path(data_dir, pack.id, pack.digest) if data_dir is not None else None
        if path is not None and path.is_file():
            # A file cut short by a full disk, or of an older layout, is no reason to stop: train again.
            with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
                return Brain(pack, reader, Model.load(path))
        model = train_model(pack, reader)
        if path is not None:
            model.save(path)
        return Brain(pack, reader, model)

    def read(self, message: Message) -> Reading:
        """What rules say."""
        return self._reader.read(message.text, message.subject, message.hints())

    def predict(self, readings: Sequence[Reading], alone: MutableMapping[str, Any] | None = None) -> list[Prediction]:
        """What the model says, in one pass; `alone` as in `Model.predict`."""
        return self.model.predict([reading.model_texts for reading in readings], alone)

    def understand(self, messages: Sequence[Message]) -> list[Understanding]:
        """Everything, for many messages."""
        readings = [self.read(message) for message in messages]
        alone: dict[str, Any] = {}
        predictions = self.predict(readings, alone)
        understood = [
            understand(reading, message.context, prediction, self.pack, self.thresholds)
            for message, reading, prediction in zip(messages, readings, predictions, strict=True)
        ]
        return self._with_further(messages, readings, understood, alone)

    def _with_further(
        self,
        messages: Sequence[Message],
        readings: Sequence[Reading],
        understood: Sequence[Understanding],
        alone: MutableMapping[str, Any],
    ) -> list[Understanding]:
        """With the further matters of each. Most parts are sentences, of which the model has spoken already; the others
        of all texts go through it in one pass.
        """
        parts = [
            self._parts.of(message.text[:MAX_CHARACTERS], reading.entities)
            if may_have_further(found, self.pack)
            else ()
            for message, reading, found in zip(messages, readings, understood, strict=True)
        ]
        texts = [
            masked_part(message.text, reading.entities, part.start, part.end)
            for message, reading, of_text in zip(messages, readings, parts, strict=True)
            for part in of_text
        ]
        intents = iter(self.model.likeliest(texts, alone))
        return [
            to_each_its_own(found, further_matters(found, of_text, [next(intents) for _ in of_text], self.pack))
            for found, of_text in zip(understood, parts, strict=True)
        ]


def train_model(pack: Pack, reader: Reader) -> Model:
    """The model of a pack's examples, read as contacts are read. Raises ValueError when the pack has too few."""
    from workers.triage.training import train

    texts = [reader.read(example.text, "", Hints(case=example.language)).model_texts[0] for example in pack.examples]
    return train(texts, [example.label for example in pack.examples], [example.language for example in pack.examples])
