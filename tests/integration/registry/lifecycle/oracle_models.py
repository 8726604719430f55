"""Registered models, versions and what is said about them: what each command must lead to."""

from typing import Any

from tests.integration.registry.lifecycle.commands import Command
from tests.integration.registry.lifecycle.rules import BUILT_AFTER, SERVING
from tests.integration.registry.lifecycle.told import Told
from tests.integration.registry.lifecycle.world import CHAMPION, Model, Policy, RefusedError, Version, World

STEPS = {"major": 0, "minor": 1, "patch": 2}


def create(told: Told, command: Command) -> dict[str, Any]:
    world, name = told.world, command.args["name"]
    if name in world.models or name in world.former_names:
        raise RefusedError(409)
    model = Model(name=name, industry=command.args["industry"])
    world.models[name] = model
    told.fact(model, "registered_model.created")
    told.entry("registered_model.created", subject_of(model))
    told.status = 201
    return {"name": name, "champion": None, "version_count": 0, "revision": 1}


def rename(told: Told, command: Command) -> dict[str, Any]:
    world, name, new_name = told.world, command.args["name"], command.args["new_name"]
    model = world.model(name)
    if new_name == name:
        return {"name": name, "revision": model.revision}
    is_taken = new_name in world.models or world.former_names.get(new_name, name) != name
    if is_taken or _serves(world, model):
        raise RefusedError(409)
    told.fact(model, "registered_model.renamed", before=name, after=new_name)
    told.fact(model, "registered_model.renamed", under=new_name, before=name, after=new_name)
    told.entry("registered_model.renamed", subject_of(model), {"name": name}, {"name": new_name})
    del world.models[name]
    world.models[new_name] = model
    world.former_names.pop(new_name, None)
    world.former_names = {old: new_name if now == name else now for old, now in world.former_names.items()}
    world.former_names[name] = new_name
    for request in world.requests.values():
        request.model = new_name if request.model == name else request.model
    model.name, model.revision = new_name, model.revision + 1
    return {"name": new_name, "revision": model.revision}


def describe(told: Told, command: Command) -> dict[str, Any]:
    model, description = told.world.model(command.args["name"]), command.args["description"]
    if model.description != description:
        told.fact(model, "registered_model.updated", revision=model.revision + 1)
        before, after = {"description": model.description}, {"description": description}
        told.entry("registered_model.updated", subject_of(model), before, after)
        model.description, model.revision = description, model.revision + 1
    return {"description": description, "revision": model.revision}


def delete(told: Told, command: Command) -> dict[str, Any]:
    model = told.world.model(command.args["name"])
    if _serves(told.world, model):
        raise RefusedError(409)
    model.is_deleted, model.revision = True, model.revision + 1
    told.fact(model, "registered_model.deleted", revision=model.revision)
    told.entry("registered_model.deleted", subject_of(model), {"deleted": False}, {"deleted": True})
    return {"revision": model.revision}


def restore(told: Told, command: Command) -> dict[str, Any]:
    model = told.world.models.get(command.args["name"])
    if model is None:
        raise RefusedError(404)
    if model.is_deleted:
        model.is_deleted, model.revision = False, model.revision + 1
        told.fact(model, "registered_model.restored", revision=model.revision)
        told.entry("registered_model.restored", subject_of(model), {"deleted": True}, {"deleted": False})
    return {"revision": model.revision, "champion": model.champion}


def register(told: Told, command: Command) -> dict[str, Any]:
    args, model = command.args, told.world.model(command.args["name"])
    for version in model.versions.values():
        if args["run_id"] and (version.run_id, version.digest) == (args["run_id"], args["digest"]):
            return {"number": version.number, "semver": dotted(version.semver)}
    semver = _semver(model, explicit=args["semver"], change_type=args["change_type"])
    is_taken = semver in {version.semver for version in model.versions.values()}
    if args["digest"] not in told.world.artifacts or is_taken:
        raise RefusedError(409)
    number = len(model.versions) + 1
    model.versions[number] = Version(
        number=number,
        semver=semver,
        digest=args["digest"],
        run_id=args["run_id"],
        auc=args["auc"],
        data=args["data"],
    )
    told.fact(model, "model_version.registered", number=number, semver=dotted(semver), stage="development")
    told.entry("model_version.registered", version_subject(model, number), None, {"semver": dotted(semver)})
    told.status = 201
    return {"number": number, "semver": dotted(semver), "stage": "development", "revision": 1}


def quarantine(told: Told, command: Command) -> dict[str, Any]:
    model, version = told.world.version(command.args["name"], command.args["number"])
    quarantined = command.args["quarantined"]
    if version.quarantined != quarantined:
        action = "model_version.quarantined" if quarantined else "model_version.released"
        before, after = {"quarantined": version.quarantined}, {"quarantined": quarantined}
        version.quarantined, version.revision = quarantined, version.revision + 1
        told.fact(model, "model_version.quarantined", quarantined=quarantined, revision=version.revision)
        told.entry(action, version_subject(model, version.number), before, after)
    return {"quarantined": quarantined, "revision": version.revision}


def review(told: Told, command: Command) -> dict[str, Any]:
    model, version = told.world.version(command.args["name"], command.args["number"])
    status = command.args["status"]
    if version.review != status:
        before, after = {"review_status": version.review}, {"review_status": status}
        version.review, version.revision = status, version.revision + 1
        told.fact(model, "model_version.review_status_changed", after=status, revision=version.revision)
        told.entry("model_version.review_status_changed", version_subject(model, version.number), before, after)
    return {"review_status": status, "revision": version.revision}


def build(told: Told, command: Command) -> dict[str, Any]:
    model, version = told.world.version(command.args["name"], command.args["number"])
    before, after = version.build, command.args["status"]
    if before != after:
        if after not in BUILT_AFTER[before]:
            raise RefusedError(409)
        version.build, version.revision = after, version.revision + 1
        told.fact(model, "model_version.build_status_changed", before=before, after=after, revision=version.revision)
        subject = version_subject(model, version.number)
        told.entry("model_version.build_status_changed", subject, {"build_status": before}, {"build_status": after})
    return {"build_status": after, "revision": version.revision}


def annotate(told: Told, command: Command) -> dict[str, Any]:
    model, version = told.world.version(command.args["name"], command.args["number"])
    description = command.args["description"]
    if version.description != description:
        before, after = {"description": version.description}, {"description": description}
        version.description, version.revision = description, version.revision + 1
        told.fact(model, "model_version.updated", number=version.number, revision=version.revision)
        told.entry("model_version.updated", version_subject(model, version.number), before, after)
    return {"description": description, "revision": version.revision}


def set_alias(told: Told, command: Command) -> dict[str, Any]:
    args, model = command.args, told.world.model(command.args["name"])
    _refuse_alias_move(told, command, model)
    if args["number"] not in model.versions:
        raise RefusedError(404)
    if model.aliases.get(args["alias"]) != args["number"]:
        move_alias(told, model, args["alias"], args["number"])
    return {"number": args["number"]}


def delete_alias(told: Told, command: Command) -> dict[str, Any]:
    model = told.world.model(command.args["name"])
    _refuse_alias_move(told, command, model)
    if command.args["alias"] not in model.aliases:
        raise RefusedError(404)
    move_alias(told, model, command.args["alias"], None)
    return {"number": None}


def set_policy(told: Told, command: Command) -> dict[str, Any]:
    world, policy, name = told.world, command.args["policy"], command.args["name"]
    if name is not None:
        return _set_model_policy(told, world.model(name), policy)
    if world.policy != policy:
        world.policy, world.policy_revision = policy, world.policy_revision + 1
        told.entry("policy.changed", "policies", None, {"revision": world.policy_revision})
        told.project_fact("policy.changed", sequence=world.policy_revision)
    return {"revision": world.policy_revision}


def move_alias(told: Told, model: Model, alias: str, to_number: int | None, *, cause: str = "setting") -> None:
    """Point an alias elsewhere; every move of `champion` goes into its history."""
    from_number = model.aliases.get(alias)
    if to_number is None:
        model.aliases.pop(alias, None)
    else:
        model.aliases[alias] = to_number
    if alias == CHAMPION:
        model.reigns.append((from_number, to_number, cause))
    before = None if from_number is None else {"number": from_number}
    after = None if to_number is None else {"number": to_number}
    told.fact(model, "alias.moved", alias=alias, from_number=from_number, to_number=to_number)
    told.entry("alias.moved", f"{subject_of(model)}/aliases/{alias}", before, after)


def subject_of(model: Model) -> str:
    return f"registered-models/{model.name}"


def version_subject(model: Model, number: int) -> str:
    return f"{subject_of(model)}/versions/{number}"


def dotted(semver: tuple[int, int, int]) -> str:
    return ".".join(map(str, semver))


def _serves(world: World, model: Model) -> bool:
    is_named = model.name in {name for name, _ in world.variants()}
    return is_named or any(version.stage in SERVING for version in model.versions.values())


def _semver(model: Model, *, explicit: str | None, change_type: str | None) -> tuple[int, int, int]:
    if explicit is not None:
        major, minor, patch = (int(part) for part in explicit.removeprefix("v").split("."))
        return major, minor, patch
    if not model.versions:
        return 1, 0, 0
    major, minor, patch = max(version.semver for version in model.versions.values())
    return ((major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1))[STEPS[change_type or "minor"]]


def _refuse_alias_move(told: Told, command: Command, model: Model) -> None:
    args = command.args
    if args["alias"] == CHAMPION:
        raise RefusedError(409)
    if args["alias"] in told.world.protected(model) and command.actor == "fay":
        raise RefusedError(403, is_recorded=True)
    if args["is_expected"] and model.aliases.get(args["alias"]) != args["expected"]:
        raise RefusedError(409)


def _set_model_policy(told: Told, model: Model, policy: Policy) -> dict[str, Any]:
    if model.policy != policy:
        model.policy, model.policy_revision = policy, model.policy_revision + 1
        told.fact(model, "policy.changed", revision=model.policy_revision)
        told.entry("policy.changed", f"{subject_of(model)}/policy", None, {"revision": model.policy_revision})
    return {"revision": model.policy_revision}


RULES = {
    "create": create,
    "rename": rename,
    "describe": describe,
    "delete": delete,
    "restore": restore,
    "register": register,
    "quarantine": quarantine,
    "review": review,
    "build": build,
    "annotate": annotate,
    "set_alias": set_alias,
    "delete_alias": delete_alias,
    "set_policy": set_policy,
}
