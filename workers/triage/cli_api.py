"""What the command line asks: explain a text, train a pack's model, evaluate on files."""

import csv
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from workers.packs import Pack
from workers.triage.brain import Brain, Message
from workers.triage.model import Prediction, model_path
from workers.triage.understand import understand

__all__ = ["evaluate", "evaluate_pack", "explain", "train"]

_BINS = 15
_TARGET = 0.95
"""Precision for which coverage is reported; the threshold is chosen on the training file alone."""


def explain(text: str, pack: Pack, language: str | None = None, data_dir: Path | None = None) -> dict[str, Any]:
    """What a text means and why. `data_dir`: where the trained model is kept (default: the user's cache folder)."""
    brain = Brain.open(pack, data_dir or _cache())
    message = Message(text=text, hints_case=language or "")
    reading = brain.read(message)
    found = understand(reading, message.context, brain.predict([reading])[0], pack, brain.thresholds)
    return {
        "language": found.language,
        "language_by": found.language_by,
        "department": found.department,
        "decision": found.decision,
        "intents": [msgspec.to_builtins(intent) for intent in found.intents],
        "answer": found.answer,
        "done": found.done,
        "request_person": found.request_person,
        "stop_contact": found.stop_contact,
        "legal": found.legal,
        "tone": found.tone,
        "urgency": found.urgency,
        "entities": [msgspec.to_builtins(entity) for entity in found.entities],
        "reasons": list(found.reasons),
    }


def train(pack: Pack, data_dir: Path | None = None) -> dict[str, Any]:
    """Train (or find trained) the pack's model and report on it, with the pack's own test lines per language."""
    started = time.perf_counter()
    brain = Brain.open(pack, data_dir or _cache())
    path = model_path(data_dir or _cache(), pack.id, pack.digest)
    return {
        "pack": pack.id,
        "examples": len(pack.examples),
        "labels": len(brain.model.labels),
        "seconds": round(time.perf_counter() - started, 2),
        "bytes": path.stat().st_size,
        "thresholds": brain.thresholds.by_risk,
        **evaluate_pack(brain),
    }


def evaluate_pack(brain: Brain) -> dict[str, Any]:
    """Figures on the pack's test lines: the model alone, and the whole understanding with rules, per language."""
    figures: dict[str, Any] = {}
    for language in brain.pack.languages:
        tests = [test for test in brain.pack.tests if test.language == language]
        messages = [Message(text=test.text, hints_case=language) for test in tests]
        truth = [test.label for test in tests]
        model = [found.intents[0].label for found in brain.predict([brain.read(message) for message in messages])]
        whole = brain.understand(messages)
        labels = [found.intent for found in whole]
        accepted = [
            (found.intent, true) for found, true in zip(whole, truth, strict=True) if found.decision == "accept"
        ]
        figures[language] = {
            "tests": len(tests),
            "model_macro_f1": _macro(truth, model),
            "accuracy": round(float(np.mean([a == b for a, b in zip(truth, labels, strict=True)])), 3),
            "macro_f1": _macro(truth, labels),
            "coverage": round(len(accepted) / len(tests), 3) if tests else 0.0,
            "precision_accepted": round(float(np.mean([a == b for a, b in accepted])), 3) if accepted else 0.0,
        }
    return figures


def evaluate(train_csv: Path, test_csv: Path) -> dict[str, Any]:
    """Train on one file and test on another (`text,label[,lang]`).

    accuracy, macro_f1, top3, ece (expected calibration error), coverage and precision at the threshold that the
    training file alone gives for 95 % precision. Raises ValueError for a file that is not such a table.
    """
    from workers.triage.training import train as train_model

    learn, test = _rows(train_csv), _rows(test_csv)
    started = time.perf_counter()
    model = train_model([row[0] for row in learn], [row[1] for row in learn], [row[2] for row in learn])
    trained = time.perf_counter()
    found = model.predict([(row[0],) for row in test])
    done = time.perf_counter()
    truth = [row[1] for row in test]
    labels = [prediction.intents[0].label for prediction in found]
    shares = np.array([prediction.intents[0].confidence for prediction in found])
    right = np.array([a == b for a, b in zip(truth, labels, strict=True)])
    threshold = _threshold(model.folds)
    above = shares >= threshold
    figures: dict[str, Any] = {
        "train": len(learn),
        "test": len(test),
        "labels": len(model.labels),
        "accuracy": round(float(right.mean()), 4),
        "macro_f1": _macro(truth, labels),
        "top3": round(
            float(np.mean([_among(row[1], prediction) for row, prediction in zip(test, found, strict=True)])), 4
        ),
        "ece": round(_calibration_error(shares, right), 4),
        "threshold": round(threshold, 3),
        "coverage": round(float(above.mean()), 4),
        "precision_at_coverage": round(float(right[above].mean()), 4) if above.any() else 0.0,
        "train_seconds": round(trained - started, 2),
        "microseconds_per_message": round((done - trained) / len(test) * 1e6, 1),
    }
    for language in sorted({row[2] for row in test} - {""}):
        chosen = [number for number, row in enumerate(test) if row[2] == language]
        figures[f"macro_f1_{language}"] = _macro([truth[i] for i in chosen], [labels[i] for i in chosen])
    return figures


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contactbus"


def _macro(truth: Sequence[str], found: Sequence[str]) -> float:
    from sklearn import metrics

    # Typed more narrowly than it is documented: `zero_division` takes a number.
    f1_score: Any = metrics.f1_score
    # Over the labels that the test has: one that was guessed but never asked for is counted as the error it is there.
    return round(float(f1_score(truth, found, average="macro", labels=sorted(set(truth)), zero_division=0)), 4)


def _among(label: str, prediction: Prediction) -> bool:
    return any(intent.label == label for intent in prediction.intents)


def _calibration_error(shares: np.ndarray, right: np.ndarray) -> float:
    places = np.minimum((shares * _BINS).astype(int), _BINS - 1)
    return float(
        sum(
            abs(shares[places == place].mean() - right[places == place].mean()) * (places == place).mean()
            for place in range(_BINS)
            if (places == place).any()
        )
    )


def _threshold(folds: Sequence[tuple[str, str, float]]) -> float:
    rows = sorted(((share, true == found) for true, found, share in folds), reverse=True)
    hits, best = 0, 1.0
    for count, (share, good) in enumerate(rows, start=1):
        hits += good
        if hits / count >= _TARGET:
            best = share
    return best


def _rows(path: Path) -> list[tuple[str, str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not {"text", "label"} <= set(reader.fieldnames):
            raise ValueError(f"{path.name}: the first line must be text,label or text,label,lang")
        rows = [(row["text"] or "", row["label"] or "", row.get("lang") or "") for row in reader]
    if not rows:
        raise ValueError(f"{path.name} has no rows")
    return rows
