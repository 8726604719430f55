"""Verify audit entries with nothing of Modelyard's: an export, or what was read from `audit-log.v1`.

    curl -H "$AUTH" $REGISTRY/audit-entries/export | python -m modelyard_examples.audit_verifier

One entry a line, as JSON. Every entry's hash is computed anew, and each must carry the hash of the one before it about
the same subject. What is read must begin at the beginning: with `--part`, the first entry about a subject may follow
others. Plain Python, so that an auditor can read it in a minute and copy it.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

NOT_HASHED = ("hash", "log_index", "type")
"""What an entry has besides what its hash is computed of: these are of the export and of the topic."""


def canonical(value: Any) -> str:
    """JSON as RFC 8785 spells it: keys sorted, no blanks, numbers as JavaScript writes them."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(each) for each in value) + "]"
    if isinstance(value, float) or (type(value) is int and abs(value) > 2**53):
        return _number(float(value))
    return json.dumps(value, ensure_ascii=False)


def hash_of(entry: dict[str, Any]) -> str:
    """The hash of an entry: SHA-256 of its members that are not null, in canonical JSON."""
    members = {name: value for name, value in entry.items() if value is not None and name not in NOT_HASHED}
    return f"sha256:{hashlib.sha256(canonical(members).encode()).hexdigest()}"


def verify(lines: Iterable[str], *, is_part: bool = False) -> tuple[int, list[str]]:
    """How many entries hold, and what is wrong with the others, each as a sentence."""
    last: dict[tuple[str, str], str] = {}
    count, faults = 0, []
    waiting = [json.loads(line) for line in lines if line.strip()]
    for entry in _in_order_of_chains([each for each in waiting if each.get("hash")]):
        chain = (entry["project"], entry["subject"])
        before = last.get(chain)
        if hash_of(entry) != entry["hash"]:
            faults.append(f"{entry['entry_id']} is not what its hash was computed of.")
        elif entry.get("previous_hash") != before and not (is_part and before is None):
            faults.append(f"{entry['entry_id']} does not follow the entry before it about {chain[1]}.")
        else:
            count += 1
        last[chain] = entry["hash"]
    return count, faults


def _in_order_of_chains(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same entries, each after the one whose hash it carries: two at once can be recorded in either order."""
    known = {entry["hash"] for entry in entries}
    followers: dict[str, list[dict[str, Any]]] = {}
    ordered = []
    for entry in entries:
        if entry.get("previous_hash") in known:
            followers.setdefault(entry["previous_hash"], []).append(entry)
        else:
            ordered.append(entry)
    # The list grows while it is walked: behind each entry comes what follows it.
    for entry in ordered:
        ordered.extend(followers.pop(entry["hash"], []))
    return ordered + [entry for left in followers.values() for entry in left]


def _number(value: float) -> str:
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(text) <= point <= 21:
        spelled = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        spelled = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        spelled = f"0.{'0' * -point}{text}"
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        spelled = f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return "-" + spelled if sign else spelled


def main() -> int:
    """Verify what comes on the standard input; the exit code is 0 when all of it holds."""
    parser = argparse.ArgumentParser(prog="python -m modelyard_examples.audit_verifier", description=__doc__)
    parser.add_argument("--part", action="store_true", help="what is read does not begin at the beginning")
    count, faults = verify(sys.stdin, is_part=parser.parse_args().part)
    for fault in faults:
        print(fault)
    print(f"{count} entries hold, {len(faults)} do not.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
