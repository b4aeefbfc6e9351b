"""Cross-validate: train and evaluate once for each fold, put the evaluations together, and keep the models as one."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glomseg.config import Settings
from glomseg.data.findings import counted
from glomseg.data.folds import Fold
from glomseg.data.record import hash_tiles
from glomseg.devices import choose_device, choose_precision
from glomseg.files import read_json, sha256_of, write_json
from glomseg.inference.ensemble import Ensemble, Member, write_ensemble
from glomseg.metrics.evaluation import Evaluation
from glomseg.progress import OnMessage, Progress, ProgressBars, no_message, no_progress
from glomseg.runs import model_path
from glomseg.steps.crossvalidation.choosing import HeldOut, choose
from glomseg.steps.crossvalidation.plan import CrossvalPlan, make_plan
from glomseg.steps.crossvalidation.pooling import write_pooled_evaluation
from glomseg.steps.crossvalidation.record import CrossvalFolder, begin, reopen
from glomseg.steps.crossvalidation.table import fold_row, write_fold_table
from glomseg.steps.evaluate import EvaluationResult, evaluate_model
from glomseg.steps.evaluation.files import EVALUATION_FILE
from glomseg.steps.train import best_validation, resume_training, train_model
from glomseg.training.hardware import Hardware
from glomseg.training.provenance import now
from glomseg.types import Dataset, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossvalResult:
    """How a cross-validation ended.

    Attributes
    ----------
    out
        Its folder, which `load_predictor` takes for the mean of its models once it is finished.
    finished
        False if Ctrl-C ended it; it can be gone on with.
    unit
        Of lengths: "um", or "px" where the micrometres per pixel are not known.
    folds
        The rows of ``folds.csv``, those that are done.
    failed
        Tiles that could not be read, with the reason.
    evaluation
        Of all tiles, each predicted by the model that never saw its group; None until every fold is done.
    notes
        What a reader has to know to judge the figures, in sentences.
    test
        The ensemble's evaluation on the test part, if it was evaluated now.
    """

    out: Path
    finished: bool
    unit: str
    folds: tuple[Mapping[str, Any], ...]
    failed: Mapping[str, str]
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = ()
    test: EvaluationResult | None = None


def cross_validate(
    dataset: Dataset,
    settings: Settings,
    *,
    out: str | os.PathLike[str],
    folds: int = 5,
    sites: Mapping[str, str] | None = None,
    val: float = 0.2,
    seed: int = 0,
    choices: Sequence[str] = (),
    split: Split | None = None,
    hardware: Hardware | None = None,
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> CrossvalResult:
    """Train a model for each fold, evaluate it on what the fold holds out, and keep the models as an ensemble.

    The folder is described in `glomseg.steps.crossvalidation.record`. Called again with the same arguments it goes on
    where it was stopped or killed: finished folds are kept.

    Parameters
    ----------
    dataset
        Tiles with masks.
    settings
        Of every fold's training, from `glomseg.load_recipe`.
    out
        The folder.
    folds, sites, val, seed
        As in `make_crossval_folds`.
    choices
        What is chosen on the held-out tiles for the ensemble: of "threshold", "min-size" and "tta".
    split
        Its test part is set aside, and evaluated once, at the end, by the ensemble.
    hardware
        What to compute on; one process.
    progress, message
        Where to report.

    Raises
    ------
    InvalidInputError
        If the folds cannot be made, or `out` has a cross-validation that was begun with something else.
    OutputError
        If `out` holds a training run or cannot be written.
    """
    hardware = hardware or Hardware()
    device = choose_device(hardware.device)
    plan = make_plan(
        dataset,
        settings,
        folds=folds,
        sites=sites,
        val=val,
        seed=seed,
        choices=choices,
        split=split,
        device=device,
        precision=choose_precision(hardware.precision, device),
        progress=progress,
    )
    with progress("hashing tiles", unit="tile") as bar:
        hashes = hash_tiles(plan.dataset, progress=bar)
    folder = CrossvalFolder(Path(out))
    record = begin(folder, plan, hashes)
    return _Crossval(folder, plan, record, device=hardware.device, progress=progress, message=message).run()


def resume_crossval(
    out: str | os.PathLike[str],
    *,
    device: str = "auto",
    progress: ProgressBars = no_progress,
    message: OnMessage = no_message,
) -> CrossvalResult:
    """Go on with a cross-validation that was stopped or killed, with the settings and the tiles it was begun with.

    Raises
    ------
    MissingInputError
        If `out` is no cross-validation.
    InvalidInputError
        If the tiles are no longer the ones it was begun with.
    """
    folder = CrossvalFolder(Path(out))

    def hashes_of(dataset: Dataset) -> Mapping[str, str]:
        with progress("checking tiles", unit="tile") as bar:
            return hash_tiles(dataset, progress=bar)

    plan, record = reopen(folder, hashes_of)
    return _Crossval(folder, plan, record, device=device, progress=progress, message=message).run()


class _Crossval:
    """A cross-validation at work."""

    def __init__(
        self,
        folder: CrossvalFolder,
        plan: CrossvalPlan,
        record: dict[str, Any],
        *,
        device: str,
        progress: ProgressBars,
        message: OnMessage,
    ) -> None:
        self.folder, self.plan, self.record = folder, plan, record
        self.development = plan.development
        self.hardware = Hardware(device=device, precision=plan.precision)
        self.progress, self.message = progress, message

    def run(self) -> CrossvalResult:
        """Do what is not done yet."""
        for note in self.plan.notes:
            self.message(note)
        rows: list[dict[str, Any]] = []
        unit = "px" if self.development.mpp is None else "um"
        for number, fold in enumerate(self.plan.folds, start=1):
            title = f"fold {number} of {len(self.plan.folds)}"
            self.message(f"{title}: holding out {fold.held_out}; the step is chosen {fold.choice}")
            if not self._train(number, fold, title=title):
                return CrossvalResult(out=self.folder.path, finished=False, unit=unit, folds=tuple(rows), failed={})
            self._evaluate(number, title=title)
            rows.append(fold_row(number, fold, self._evaluated(number), step=self._kept_step(number)))
            write_fold_table(self.folder.table, rows)
        chosen = self._choose()
        pooled = write_pooled_evaluation(
            [self._evaluation(number) for number in self._numbers()],
            self.development,
            out=self.folder.pooled,
            notes=self.plan.notes,
            progress=self.progress,
        )
        test = self._test(chosen["notes"])
        self._note(finished=True, finished_at=self.record.get("finished_at") or now())
        return CrossvalResult(
            out=self.folder.path,
            finished=True,
            unit=unit,
            folds=tuple(rows),
            evaluation=pooled.evaluation,
            notes=(*pooled.notes, *chosen["notes"]),
            failed=pooled.failed,
            test=test,
        )

    def _train(self, number: int, fold: Fold, *, title: str) -> bool:
        """Train a fold, or go on with it, and return whether it was finished."""
        run = self.folder.fold(number)
        progress, message = _titled(self.progress, title), _prefixed(self.message, title)
        if not run.manifest.is_file():
            return train_model(
                self.development,
                self.plan.settings,
                out=run.path,
                split=fold.split,
                hardware=self.hardware,
                progress=progress,
                message=message,
            ).finished
        if read_json(run.manifest, what="manifest").get("finished"):
            return True
        return resume_training(run.path, hardware=self.hardware, progress=progress, message=message).finished

    def _evaluate(self, number: int, *, title: str) -> None:
        run, out = self.folder.fold(number), self._evaluation(number)
        if (out / EVALUATION_FILE).is_file():
            evaluated = read_json(out / EVALUATION_FILE, what="evaluation")["model"]["sha256"]
            if evaluated == sha256_of(model_path(run.path)):
                return
        evaluate_model(
            run.path,
            self.development,
            out=out,
            part="test",
            device=self.hardware.device,
            precision=self.hardware.precision,
            progress=_titled(self.progress, title),
        )

    def _choose(self) -> Mapping[str, Any]:
        """Write the ensemble, with what was chosen for it."""
        models = [model_path(self.folder.fold(number).path) for number in self._numbers()]
        hashes = [sha256_of(model) for model in models]
        if self.record.get("members") == hashes and self.folder.ensemble.is_file():
            earlier: Mapping[str, Any] = self.record["chosen"]
            return earlier
        samples = {sample.name: sample for sample in self.development.samples}
        choice = choose(
            [
                HeldOut(model=model, samples=tuple(samples[name] for name in self._evaluated(number)["tiles"]))
                for number, model in zip(self._numbers(), models, strict=True)
            ],
            self.development,
            choices=self.plan.choose,
            figure=self.plan.settings.run.best_metric,
            default_threshold=self.plan.settings.inference.inference().threshold or 0.5,
            device=self.hardware.device,
            precision=self.hardware.precision,
            progress=self.progress,
        )
        members = tuple(
            Member(name=model.name, file=model, sha256=digest) for model, digest in zip(models, hashes, strict=True)
        )
        ensemble = Ensemble(members=members, threshold=choice.threshold, tta=choice.tta, smallest=choice.smallest)
        write_ensemble(self.folder.ensemble, ensemble)
        chosen = {**choice.record, "notes": choice.notes}
        self._note(members=hashes, chosen=chosen)
        return chosen

    def _test(self, notes: Sequence[str]) -> EvaluationResult | None:
        """Evaluate the ensemble on the test part, unless that was done; write down first that it is looked at."""
        if not self.plan.test:
            return None
        file = self.folder.test / EVALUATION_FILE
        if file.is_file() and read_json(file, what="evaluation")["model"]["sha256"] == sha256_of(self.folder.ensemble):
            return None
        opened = [*self.record["test"]["opened_at"], now()]
        self._note(test={**self.record["test"], "opened_at": opened})
        when = f"The test data were opened on {opened[0]}, after everything was chosen"
        if len(opened) > 1:
            when += f", and {counted(len(opened) - 1, 'time')} more since, last on {opened[-1]}"
        return evaluate_model(
            self.folder.path,
            self.plan.dataset,
            out=self.folder.test,
            part="test",
            remarks=[f"{when}.", *notes],
            device=self.hardware.device,
            precision=self.hardware.precision,
            progress=_titled(self.progress, "test"),
        )

    def _numbers(self) -> range:
        return range(1, len(self.plan.folds) + 1)

    def _evaluation(self, number: int) -> Path:
        return self.folder.fold(number).path / "evaluation-test"

    def _evaluated(self, number: int) -> Mapping[str, Any]:
        record: Mapping[str, Any] = read_json(self._evaluation(number) / EVALUATION_FILE, what="evaluation")
        return record

    def _kept_step(self, number: int) -> int:
        best = best_validation(self.folder.fold(number))
        return int(best.get("step", self.plan.settings.run.rhythm().steps))

    def _note(self, **values: Any) -> None:
        self.record |= values
        write_json(self.folder.record, self.record)


def _titled(progress: ProgressBars, title: str) -> ProgressBars:
    def titled(description: str, *, unit: str) -> AbstractContextManager[Progress]:
        return progress(f"{title}: {description}", unit=unit)

    return titled


def _prefixed(message: OnMessage, title: str) -> OnMessage:
    return lambda line: message(f"{title}: {line}")
