"""Rounds: each server alone, one after the other, again and again, so that a machine's moods meet them all."""

import asyncio
import sys

from benchmarks import dataset
from benchmarks.agreement import Disagreement, answers
from benchmarks.bed import Bed
from benchmarks.measuring import measure
from benchmarks.report import Measured
from benchmarks.scenes import requests_of
from dev.steps import step


def compare(bed: Bed) -> None:
    """See that every server answers the same request alike.

    Raises:
        Disagreement: naming the servers.

    """
    ann, bob = bed.owners[:2]
    forged = ann.token[:-8] + ("A" * 8 if not ann.token.endswith("A" * 8) else "B" * 8)
    told = {}
    with step("The same request gets the same answer from all of them"):
        for server in bed.commands:
            with bed.started(server) as started:
                try:
                    told[server.title] = answers(started.url, ann, bob, forged)
                except Disagreement as error:
                    raise Disagreement(f"{server.title}: {error}") from error
        first, *others = told
        for other in others:
            if told[other] != told[first]:
                wrong = next(pair for pair in zip(told[first], told[other], strict=True) if pair[0] != pair[1])
                raise Disagreement(f"{first} says {wrong[0]}\n{other} says {wrong[1]}")
    asyncio.run(dataset.forget_new(bed.data))
    bed.starts.clear()


def rounds(bed: Bed) -> list[Measured]:
    """Measure every scene on every server in every round."""
    measured: list[Measured] = []
    of = bed.chosen.rounds * len(bed.commands)
    for number in range(bed.chosen.rounds):
        for position, server in enumerate(bed.commands, 1):
            _progress(f"round {number + 1} of {bed.chosen.rounds}: {server.title}", (number * len(bed.commands) + position - 1) / of)
            with bed.started(server) as started:
                for scene in bed.chosen.scenes:
                    requests = requests_of(scene, bed.owners)
                    label = number, server.name, scene
                    measured.append(
                        measure(started, bed.postgres, requests, seconds=bed.chosen.seconds, label=label)
                    )
            asyncio.run(dataset.forget_new(bed.data))
    _progress("measured", 1)
    return measured


def _progress(what: str, share: float) -> None:
    if sys.stdout.isatty():
        print(f"\r\033[K  {share:4.0%}  {what}", end="\n" if share == 1 else "", flush=True)
    else:
        print(f"  {share:4.0%}  {what}", flush=True)
