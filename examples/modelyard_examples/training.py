"""The training job: trains one model on real loans and publishes it.

    python -m modelyard_examples.training global --registry http://127.0.0.1:8080 --token …
    python -m modelyard_examples.training debt-consolidation --parent risk-scoring:1 \\
        --registry http://127.0.0.1:8080 --token … --kafka 127.0.0.1:9092 --signing-key training-key.json

With `--kafka` the version is announced by an event, signed with the key that `modelyard_examples.signing` made;
without it registered through HTTP. `--dry-run` trains
and shows the figures, and publishes nothing.
"""

import argparse
import asyncio
import os
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiokafka.errors import KafkaError

from modelyard_examples.cloud_events import open_producer
from modelyard_examples.fitting import ConversionError, FittedModel, fit
from modelyard_examples.loans import read_split_loans
from modelyard_examples.publishing import publish_over_http, publish_over_kafka
from modelyard_examples.recipes import RECIPES
from modelyard_examples.registry_client import RegistryClient, RegistryError
from modelyard_examples.signing import read_signing_key


def main(arguments: list[str] | None = None) -> int:
    """Run the job; answers the exit code: 0 published, 1 refused or out of reach."""
    options = _parser().parse_args(arguments)
    recipe = RECIPES[options.recipe]
    _say(f"training {recipe.name}: {recipe.description}")
    try:
        fitted = fit(recipe, data=read_split_loans())
        _show(fitted)
        if not options.dry_run:
            asyncio.run(_publish(fitted, options=options))
    except (RegistryError, aiohttp.ClientError, OSError, KafkaError, ConversionError) as error:
        print(f"not published: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


async def _publish(fitted: FittedModel, *, options: argparse.Namespace) -> None:
    run_id = options.run_id or f"{fitted.recipe.name}-{uuid.uuid4().hex[:12]}"
    async with RegistryClient(options.registry, token=options.token, project=options.project) as registry:
        if options.kafka is None:
            version = await publish_over_http(
                fitted,
                registry=registry,
                run_id=run_id,
                change_type=options.change_type,
                parent=options.parent,
                on_progress=_say,
            )
            _say(f"registered {version['model']}:{version['number']} ({version['semver']})")
            return
        async with open_producer(options.kafka) as producer:
            event = await publish_over_kafka(
                fitted,
                registry=registry,
                producer=producer,
                project=options.project,
                run_id=run_id,
                event_id=str(uuid.uuid4()),
                occurred_at=datetime.now(UTC),
                signing_key=read_signing_key(options.signing_key) if options.signing_key else None,
                topic_prefix=options.topic_prefix,
                change_type=options.change_type,
                parent=options.parent,
                on_progress=_say,
            )
            _say(f"announced event {event.id}; the registry registers the version when it reads it")


def _show(fitted: FittedModel) -> None:
    _say(f"learnt from {fitted.training_examples:,} loans in {fitted.seconds:.1f} s")
    for name, value in sorted(fitted.metrics.items()):
        marker = "  <- primary metric" if name == fitted.recipe.primary_metric else ""
        _say(f"  {name:<26} {value:6.3f} points of interest{marker}")
    _say(f"measured on loans that it never saw: {fitted.validation_data_version}")


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelyard_examples.training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("recipe", choices=sorted(RECIPES), help="which model to train")
    parser.add_argument("--registry", default="http://127.0.0.1:8080", help="the registry's address")
    parser.add_argument(
        "--token", default=os.environ.get("MODELYARD_TOKEN", ""), help="bearer token (or MODELYARD_TOKEN)"
    )
    parser.add_argument("--project", default="default")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="announce by an event on this broker")
    parser.add_argument("--signing-key", type=Path, metavar="FILE", help="sign the event with the key in this file")
    parser.add_argument("--topic-prefix", default="", help="what the cluster puts before topic names")
    parser.add_argument("--parent", type=_reference, metavar="MODEL:NUMBER", help="the version to beat")
    parser.add_argument("--change-type", choices=("major", "minor", "patch"))
    parser.add_argument("--run-id", help="the run's own name; the same run is registered once")
    parser.add_argument("--dry-run", action="store_true", help="train and show the figures only")
    return parser


def _reference(text: str) -> dict[str, object]:
    match = re.fullmatch(r"([^:]+):([1-9]\d*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"write MODEL:NUMBER, for example risk-scoring:1, not {text!r}")
    return {"model": match[1], "number": int(match[2])}


if __name__ == "__main__":
    sys.exit(main())
