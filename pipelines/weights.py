"""Whether the files at hand are the version that was registered: read afresh, never from what is remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalharness.candidate import Candidate
from evalharness.candidate_files import CandidateFile, installed_vllm, load_candidate
from evalharness.loaded_files import LoadedFiles, file_differences, shortened
from evalharness.model_directory import hash_directory
from gates.registry.versions import Version
from golden_sets.digests import Digest, canonical_json, short
from golden_sets.errors import InputError
from golden_sets.yaml_files import load_yaml_record
from pipelines.workspace import Workspace

REGISTERED = "the registered manifest"


def require_weights(
    workspace: Workspace, digest: Digest, name: str | None = None, *, candidate: Candidate | None = None
) -> tuple[str, ...]:
    """Make sure, before a promotion, that the files which will be served are the registered version's.

    Args:
        workspace: whose candidates are looked through, those named like the version first.
        digest: a registered version. A router is passed over: its own archive is checked file by file.
        name: a name it goes by, beside those it was registered under.
        candidate: the very candidate, where the caller has it; None: it is looked for.

    Returns:
        Warnings: that nothing of this name is at hand, so that nothing could be read.

    Raises:
        InputError: what is at hand under its name is something else, and what differs.
        InfrastructureError: a file cannot be read.
    """
    version = workspace.registry.show(digest)
    if version.kind != "model":
        return ()
    names = (*version.names, *(() if name is None else (name,)))
    found = candidate or _of_digest(workspace, digest, names)
    if found is None:
        return _none_at_hand(workspace, version, names)
    LoadedFiles(found)
    _require_manifest(version, found)
    return ()


def manifest_differences(registered: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs between a registered manifest and another, in words: files, prompt, sampling, engine.

    Args:
        registered: plain JSON data of a :class:`~evalharness.candidate.Manifest`.
        found: the same of what is at hand.
    """
    differences = []
    for part in ("model", "adapter"):
        prefix, files = "" if part == "model" else "adapter/", (dict(d.get(part) or {}) for d in (registered, found))
        differences += [prefix + difference for difference in file_differences(*files, said=REGISTERED)]
    one = dict(_flat({k: v for k, v in registered.items() if k not in ("model", "adapter")}))
    other = dict(_flat({k: v for k, v in found.items() if k not in ("model", "adapter")}))
    for key in sorted(one.keys() | other.keys()):
        here, there = (canonical_json(d[key]).decode() if key in d else "missing" for d in (other, one))
        if here != there:
            differences.append(f"{key} is {here}, {REGISTERED} says {there}")
    return differences


def differences_at(version: Version, place: Path, *, adapter: Path | None = None) -> list[str]:
    """What differs between a registered model and a directory, or a candidate file with everything it names.

    Args:
        version: a registered model.
        place: a model directory, of which the files are compared; or a candidate file, of which everything is.
        adapter: directory of the adapter, beside a model directory.

    Raises:
        InputError: no model, no such place, or files that may not be hashed.
        InfrastructureError: a file cannot be read.
    """
    if version.kind != "model":
        raise InputError(f"'{version.name}' is a {version.kind}", do="name a version of a model")
    if not place.is_dir():
        return manifest_differences(version.manifest, load_candidate(place).manifest.to_json())
    wanted = {"model": dict(version.manifest["model"])}
    found = {"model": hash_directory(place)}
    if adapter is not None or version.manifest.get("adapter"):
        wanted["adapter"] = dict(version.manifest.get("adapter") or {})
        found["adapter"] = {} if adapter is None else hash_directory(adapter)
    return manifest_differences(wanted, found)


def _require_manifest(version: Version, candidate: Candidate) -> None:
    if candidate.digest != version.digest:
        differences = manifest_differences(version.manifest, candidate.manifest.to_json())
        raise InputError(
            f"'{candidate.name}' is not version {short(version.digest)}: {shortened(differences)}",
            where=candidate.directory,
            do="restore it, or release it as a version of its own",
        )


def _of_digest(workspace: Workspace, digest: Digest, names: tuple[str, ...]) -> Candidate | None:
    """The project's candidate that says it is this version, looked for under these names first; None: there is none."""
    for known in sorted(workspace.project.candidate_names(), key=lambda known: known not in names):
        with suppress(InputError):  # of those that cannot be read, the version's own are told of below
            if (candidate := workspace.project.candidate(known)).digest == digest:
                return candidate
    return None


def _none_at_hand(workspace: Workspace, version: Version, names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what goes by the version's name and is something else; warn where nothing of it is on this machine."""
    why = "no candidate of the project goes by its name"
    for known in names:
        if known not in workspace.project.candidate_names():
            continue
        try:
            _require_manifest(version, workspace.project.candidate(known))
        except InputError as error:
            path = workspace.project.at(workspace.project.file.candidates) / f"{known}.yaml"
            if installed_vllm() is not None and _directories_exist(path):
                raise
            why = error.what
    return (f"the files of '{version.name}' ({short(version.digest)}) were not read again: {why}",)


def _directories_exist(path: Path) -> bool:
    file = load_yaml_record(path, CandidateFile)
    return all((path.parent / named).is_dir() for named in (file.model, file.adapter) if named is not None)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
