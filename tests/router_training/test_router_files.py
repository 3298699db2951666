"""A router's directory: whole or not there, and every file checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from golden_sets.errors import InfrastructureError, InputError
from router_training import Router, router_files
from router_training.records import Curve, OperatingPoint, RouterManifest
from router_training.router_files import HEAD, MANIFEST, SPLITS, check_place, read_manifest, read_tensors, to_bytes

DIGEST = "sha256:" + "0" * 64
FILES = {HEAD: to_bytes({"weights": np.arange(3, dtype=np.float32)}), SPLITS: b"{}\n"}


def manifest(reason: str = "nothing could be learnt") -> RouterManifest:
    return RouterManifest(
        files={},
        features=(),
        head="constant",
        head_settings={},
        p_hard=Curve(x=(-1.0, 1.0), y=(0.4, 0.4)),
        delta=Curve(x=(-1.0, 1.0), y=(0.1, 0.1)),
        operating_point=OperatingPoint(
            threshold=0,
            band_high=0,
            max_loss=0.02,
            confidence=0.95,
            loss=0,
            loss_high=0,
            flagship_share=1,
            n=0,
            method="none",
            why_always_flagship=reason,
        ),
        training_data=DIGEST,
        calibration_data=DIGEST,
        test_data=DIGEST,
    )


def written(out: Path, reason: str = "nothing could be learnt") -> RouterManifest:
    return router_files.write_router(out, manifest(reason), FILES)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    out = tmp_path / "new" / "router"
    found = written(out)
    assert read_manifest(out) == found
    assert set(found.files) == {HEAD, SPLITS}
    assert read_tensors(out, found, HEAD)["weights"].tolist() == [0, 1, 2]
    assert left_over(out.parent) == []


def test_equal_routers_have_one_digest_and_equal_bytes(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one"), written(tmp_path / "other")
    assert one.digest == other.digest
    for name in (MANIFEST, HEAD, SPLITS):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_a_router_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "router"
    router_files.write_router(out, manifest(), {**FILES, "training.json": b"{}"})
    again = written(out, reason="another reason")
    assert read_manifest(out).digest == again.digest
    assert not (out / "training.json").exists()
    assert left_over(tmp_path) == []


def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "router"
    before = written(out)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(router_files, "_write", full)
    with pytest.raises(InfrastructureError, match="No space left"):
        written(out, reason="another reason")
    assert read_manifest(out).digest == before.digest
    assert left_over(tmp_path) == []


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"something else than a router: thesis\.txt"):
        written(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(InputError, match="is not a folder"):
        check_place(tmp_path / "thesis.txt")


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="nothing can be written"):
        check_place(tmp_path / "file" / "router")


@pytest.mark.parametrize("name", [HEAD, SPLITS])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path / "router")
    path = tmp_path / "router" / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=f"{name}.*not the file that the manifest names"):
        Router.load(tmp_path / "router")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "router")
    (tmp_path / "router" / HEAD).unlink()
    with pytest.raises(InputError, match=f"{HEAD}.*missing"):
        read_manifest(tmp_path / "router")


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "router")
    path = tmp_path / "router" / HEAD
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no plain file"):
        read_manifest(tmp_path / "router")


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "router")
    path = tmp_path / "router" / MANIFEST
    document = json.loads(path.read_text())
    document["manifest"]["operating_point"]["why_always_flagship"] = "another reason"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="changed after it was written"):
        read_manifest(tmp_path / "router")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "other.txt", "head.safetensors/../../outside"])
def test_a_manifest_that_names_other_files_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path / "router")
    (tmp_path / "outside").write_bytes(b"outside")
    path = tmp_path / "router" / MANIFEST
    record = RouterManifest.model_validate({**read_manifest(tmp_path / "router").to_json(), "files": {name: DIGEST}})
    path.write_text(json.dumps({"format": router_files.FORMAT, "digest": record.digest, "manifest": record.to_json()}))
    with pytest.raises(InputError, match="a router has no file"):
        read_manifest(tmp_path / "router")


@pytest.mark.parametrize("place", [".", "..", "new/.."])
def test_the_folder_one_stands_in_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"name a folder for the router, such as ./router"):
        check_place(Path(place))


@pytest.mark.parametrize(
    ("x", "y"), [((0.0, 1.0), (0.0, 0.5, 1.0)), ((1.0, 0.0), (0.0, 1.0)), ((0.0, 1.0), (1.0, 0.0))]
)
def test_a_calibration_that_falls_or_has_gaps_is_refused(tmp_path: Path, x: tuple[float], y: tuple[float]) -> None:
    written(tmp_path / "router")
    path = tmp_path / "router" / MANIFEST
    document = json.loads(path.read_text())
    document["manifest"]["p_hard"] = {"x": x, "y": y}
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="p_hard: Value error, a curve"):
        read_manifest(tmp_path / "router")


def test_a_file_of_another_number_type_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"weights": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    data = len(header).to_bytes(8, "little") + header + b"\0\0"
    found = router_files.write_router(tmp_path / "router", manifest(), {HEAD: data})
    with pytest.raises(InputError, match="BF16"):
        read_tensors(tmp_path / "router", found, HEAD)


def test_no_router_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no router here"):
        Router.load(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Router.load(tmp_path / "nowhere")
    (tmp_path / MANIFEST).write_text('{"format": "something else"}')
    with pytest.raises(InputError, match="relgate-router-v1"):
        Router.load(tmp_path)


def test_tensors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    odd = {HEAD: to_bytes({"weights": np.array([np.nan], dtype=np.float32)})}
    found = router_files.write_router(tmp_path / "router", manifest(), odd)
    with pytest.raises(InputError, match="not finite"):
        read_tensors(tmp_path / "router", found, HEAD)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    found = router_files.write_router(tmp_path / "router", manifest(), {HEAD: b"\x80\x04pickle"})
    with pytest.raises(InputError, match="no safetensors file"):
        read_tensors(tmp_path / "router", found, HEAD)


def test_a_router_that_learnt_nothing_sends_everything_to_the_flagship_and_says_why(tmp_path: Path) -> None:
    written(tmp_path / "router", reason="every prompt is hard")
    router = Router.load(tmp_path / "router")
    routes = router.route(["one", "", "three"])
    assert [(route.model, route.reason) for route in routes] == [("flagship", "always flagship")] * 3
    assert routes[0].p_hard == 0.4
    assert routes[0].expected_delta == 0.1
    assert router.embedder is None
    assert router.manifest.operating_point.why_always_flagship == "every prompt is hard"
