"""Weight files: from the Hub (a stand-in), the cache or a package; verified; or an error that says what to do."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from packaging.version import Version

from perceptmetrics import create_metric
from perceptmetrics.errors import MissingExtraError, WeightsError
from perceptmetrics.spec import HubFile, PackageFile
from perceptmetrics.weights import cache, trust
from perceptmetrics.weights import resolve as weights
from perceptmetrics.weights.cache import CACHE_VARIABLE
from perceptmetrics.weights.cache_content import cache_content, clear_cache
from perceptmetrics.weights.resolve import ResolveOptions, file_sha256, find_cached, resolve, source_url
from perceptmetrics.weights.trust import STATE_VARIABLE, state_home
from tests.support.hub_server import HubStandIn, replace_endpoint

REPO = "organisation/encoder"
LARGE = "open_clip_model.safetensors"
SMALL = "spec.json"
CONTENT = bytes(range(256)) * 40
FILES = {LARGE: CONTENT, SMALL: b'{"format_version": 1}'}
OPTIONS = ResolveOptions(metric="some_metric")
OFFLINE = replace(OPTIONS, local_files_only=True)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "records"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with HubStandIn() as stand_in:
        stand_in.replace_hub(monkeypatch, tmp_path / "cache")
        yield stand_in


@pytest.fixture
def source(hub):
    """A file of a pinned revision whose size and hash are known."""
    revision = hub.commit(REPO, FILES)
    return HubFile(repo=REPO, filename=LARGE, revision=revision, sha256=sha256(CONTENT), size=len(CONTENT))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def message_of(source, options=OPTIONS):
    with pytest.raises(WeightsError) as caught:
        resolve(source, options)
    return str(caught.value)


# Downloading and finding again


@pytest.mark.parametrize("filename", [LARGE, SMALL])
def test_a_file_is_downloaded_once(hub, source, filename):
    source = replace(source, filename=filename, sha256=None)
    first = resolve(source, OPTIONS)
    assert first.read_bytes() == FILES[filename]
    assert [request.method for request in hub.take_downloads()] == ["HEAD", "GET"]
    assert resolve(source, OPTIONS) == first
    assert hub.take_requests() == []


def test_the_pinned_revision_is_asked_for_and_no_other(hub, source):
    hub.commit(REPO, {LARGE: b"newer weights"})  # main moves on
    assert resolve(source, OPTIONS).read_bytes() == CONTENT
    asked = {request.revision for request in hub.take_downloads()} - {None}  # None: the redirected download
    assert asked == {source.revision}


def test_a_branch_is_resolved_by_the_hub(hub, source):
    hub.commit(REPO, {LARGE: b"newer weights"})
    branch = replace(source, revision="main", sha256=None)
    assert resolve(branch, OPTIONS).read_bytes() == b"newer weights"


def test_a_branch_in_the_cache_survives_a_hub_that_is_down(hub, source):
    branch = replace(source, revision="main")
    expected = resolve(branch, OPTIONS)
    hub.failure = "server error"
    assert resolve(branch, OPTIONS) == expected


def test_cache_dir_is_where_the_file_goes(hub, source, tmp_path):
    elsewhere = replace(OPTIONS, cache_dir=tmp_path / "elsewhere")
    assert tmp_path / "elsewhere" in resolve(source, elsewhere).parents
    hub.take_requests()
    resolve(source, elsewhere)
    assert hub.take_requests() == []
    resolve(source, OPTIONS)  # another cache knows nothing of it
    assert len(hub.take_downloads()) == 2


def test_find_cached_finds_what_was_downloaded_and_asks_nobody(hub, source, tmp_path):
    assert find_cached(source) is None
    path = resolve(source, OPTIONS)
    hub.take_requests()
    assert find_cached(source) == path
    assert find_cached(replace(source, revision="main")) is None  # only the commit was asked for
    assert find_cached(source, cache_dir=tmp_path / "elsewhere") is None
    assert find_cached(replace(source, filename="other.bin")) is None
    assert hub.take_requests() == []


def test_find_cached_does_not_take_a_remembered_absence_for_a_file(hub, source):
    absent = replace(source, filename="absent.json", sha256=None)
    message_of(absent)
    assert find_cached(absent) is None


def test_source_url_names_the_address_or_the_package(hub, source):
    assert source_url(source) == f"{hub.endpoint}/{REPO}/resolve/{source.revision}/{LARGE}"
    assert source_url(PackageFile(package="some_package", filename="a/b.pth")) == "package some_package: a/b.pth"


# Offline


@pytest.fixture(params=["local_files_only", "HF_HUB_OFFLINE"])
def offline(request, monkeypatch):
    """A function that switches downloads off and gives the options to look up with."""

    def switch_off():
        if request.param == "local_files_only":
            return OFFLINE
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        return OPTIONS

    return switch_off


@pytest.mark.parametrize("revision", ["pinned", "main"])
def test_offline_a_filled_cache_serves_without_a_request(hub, source, offline, revision):
    if revision == "main":
        source = replace(source, revision="main")
    expected = resolve(source, OPTIONS)
    hub.take_requests()
    assert resolve(source, offline()) == expected
    assert hub.take_requests() == []


def test_offline_an_empty_cache_is_an_error_that_says_how_to_fill_it(hub, source, offline, tmp_path):
    options = replace(offline(), cache_dir=tmp_path / "empty")
    message = message_of(replace(source, size=408_291_932), options)
    assert hub.take_requests() == []
    for part in (REPO, LARGE, source.revision, "408.3 MB", "downloads are disabled", "backbone_checkpoint="):
        assert part in message
    assert f"perceptmetrics fetch some_metric --cache-dir {tmp_path / 'empty'}" in message


def test_the_advice_leaves_out_what_is_not_known(hub, source):
    message = message_of(replace(source, size=None), OFFLINE)
    assert "size not recorded" in message
    assert "--cache-dir" not in message
    assert "perceptmetrics fetch some_metric\n" in message


# Hashes


def test_a_file_with_another_hash_than_the_known_one_is_refused(hub, source):
    message = message_of(replace(source, sha256="0" * 64))
    assert "0" * 64 in message
    assert sha256(CONTENT) in message
    assert "this release expects" in message


def test_wrong_bytes_from_the_server_are_refused_and_the_advice_repairs_it(hub, source):
    hub.failure = "wrong bytes"
    message = message_of(source)
    hub.failure = None
    assert message_of(source) == message  # the damaged file stays refused
    Path(message.split("Delete ")[1].split(" and fetch")[0]).unlink()
    assert resolve(source, OPTIONS).read_bytes() == CONTENT


def test_an_unknown_hash_is_recorded_and_later_files_are_held_to_it(hub, source, tmp_path):
    unknown = replace(source, sha256=None)
    resolve(unknown, OPTIONS)
    hub.failure = "wrong bytes"
    message = message_of(unknown, replace(OPTIONS, cache_dir=tmp_path / "second"))
    assert f"{sha256(CONTENT)} was recorded" in message


def test_a_branch_that_moves_is_noticed(hub, source):
    branch = replace(source, revision="main", sha256=None)
    resolve(branch, OPTIONS)
    hub.commit(REPO, {LARGE: b"newer weights"})
    assert "was recorded" in message_of(branch)


def test_each_file_and_revision_has_a_record_of_its_own(hub, source, tmp_path):
    resolve(replace(source, sha256=None), OPTIONS)
    resolve(replace(source, sha256=None, filename=SMALL), OPTIONS)
    other = hub.commit(REPO, {LARGE: b"newer weights"})
    resolve(replace(source, sha256=None, revision=other), OPTIONS)
    records = [json.loads(path.read_text()) for path in (tmp_path / "state" / "first-seen").iterdir()]
    assert {record["file"]: record["sha256"] for record in records} == {
        f"{REPO}@{source.revision}/{LARGE}": sha256(CONTENT),
        f"{REPO}@{source.revision}/{SMALL}": sha256(FILES[SMALL]),
        f"{REPO}@{other}/{LARGE}": sha256(b"newer weights"),
    }


GARBAGE = ["", "{", "[1]", '{"HASH": 5}', '{"HASH": "abc"}', "{}", "\0\xff"]


def spoil(record, garbage, field):
    known = json.loads(record.read_text())
    state = {key: value for key, value in known.items() if key != field}
    # A record that fits the file in all but the hash is the worst case.
    wrong = garbage.replace("HASH", field)
    record.write_text(json.dumps(state | json.loads(wrong)) if garbage[:2] == '{"' else garbage)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_damaged_records_are_replaced(hub, source, tmp_path, garbage):
    resolve(source, OPTIONS)
    (record,) = (tmp_path / "records").rglob("*.json")
    spoil(record, garbage, "value")
    resolve(source, OPTIONS)
    assert json.loads(record.read_text())["value"] == sha256(CONTENT)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_damaged_hash_of_a_first_download_is_no_permission(hub, source, tmp_path, garbage):
    unknown = replace(source, sha256=None)
    resolve(unknown, OPTIONS)
    (record,) = (tmp_path / "state").rglob("*.json")
    spoil(record, garbage, "sha256")
    content = record.read_bytes()
    message = message_of(unknown)
    assert f"{record} should hold the hash of a first download, and is corrupt" in message
    assert record.read_bytes() == content
    record.unlink()  # as the message says
    assert resolve(unknown, OPTIONS).read_bytes() == CONTENT


@pytest.mark.parametrize("digit", [0, 31, 63])
def test_a_flipped_digit_of_a_remembered_hash_accuses_no_file(hub, source, tmp_path, digit):
    resolve(source, OPTIONS)
    (record,) = (tmp_path / "records").rglob("*.json")
    known = json.loads(record.read_text())
    value = known["value"]
    known["value"] = value[:digit] + ("1" if value[digit] == "0" else "0") + value[digit + 1 :]
    record.write_text(json.dumps(known))
    assert resolve(source, OPTIONS).read_bytes() == CONTENT


def test_deleting_the_cache_forgets_no_hash(hub, source, tmp_path):
    unknown = replace(source, sha256=None)
    resolve(unknown, OPTIONS)
    shutil.rmtree(tmp_path / "records")
    hub.failure = "wrong bytes"
    message = message_of(unknown, replace(OPTIONS, cache_dir=tmp_path / "second"))
    assert f"{sha256(CONTENT)} was recorded" in message


@pytest.mark.parametrize("obstacle", ["file in its place", "no permission", "no home"])
def test_a_hash_that_cannot_be_kept_is_a_warning(hub, source, tmp_path, monkeypatch, caplog, obstacle):
    if obstacle == "file in its place":
        (tmp_path / "state").write_text("in the way")
    elif obstacle == "no home":
        monkeypatch.delenv(STATE_VARIABLE)
        monkeypatch.delenv("XDG_STATE_HOME", raising=False)
        monkeypatch.setattr(Path, "home", no_home)
    else:
        monkeypatch.setattr(trust, "write_record", refuse)
    assert resolve(replace(source, sha256=None), OPTIONS).read_bytes() == CONTENT
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "cannot be kept, so that a change of it at" in record.message
    assert STATE_VARIABLE in record.message
    caplog.clear()
    resolve(source, OPTIONS)  # a known hash needs no record
    assert not caplog.records


def test_a_record_that_cannot_be_read_is_a_warning(hub, source, tmp_path, caplog):
    resolve(replace(source, sha256=None), OPTIONS)
    (record,) = (tmp_path / "state").rglob("*.json")
    record.unlink()
    record.mkdir()
    assert resolve(replace(source, sha256=None), OPTIONS).read_bytes() == CONTENT
    assert "cannot be kept" in caplog.text


def no_home(*_):
    raise RuntimeError("Could not determine home directory.")


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"XDG_STATE_HOME": "xdg"}, "xdg/perceptmetrics"),
        ({"XDG_STATE_HOME": "xdg", STATE_VARIABLE: "own"}, "own"),
        ({STATE_VARIABLE: "~/tilde"}, "tilde"),
        ({}, ".local/state/perceptmetrics"),
    ],
)
def test_the_state_lies_where_the_environment_says(tmp_path, monkeypatch, variables, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", STATE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert state_home().resolve() == tmp_path / folder


def test_without_a_home_there_is_no_cache_and_no_error(tmp_path, monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", STATE_VARIABLE, CACHE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(CONTENT)
    for _ in range(2):
        assert file_sha256(Path("file")) == sha256(CONTENT)
    monkeypatch.setenv(CACHE_VARIABLE, "~nobody_has_this_name/cache")
    assert file_sha256(Path("file")) == sha256(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert cache_content()[0].files == 0
    assert clear_cache() == 0


@pytest.mark.parametrize("obstacle", ["file in its place", "no permission"])
def test_records_that_cannot_be_written_cost_time_but_no_score(hub, source, tmp_path, monkeypatch, obstacle):
    if obstacle == "file in its place":
        (tmp_path / "records").write_text("in the way")
    else:
        monkeypatch.setattr(cache, "replacing", refuse)
    for _ in range(2):
        assert resolve(replace(source, sha256=None), OPTIONS).read_bytes() == CONTENT
    assert not list(tmp_path.glob("records/*/*"))
    message_of(replace(source, sha256="0" * 64))  # a known hash is still checked


def test_records_lie_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    for variable, home, place in [
        ("XDG_CACHE_HOME", tmp_path / "xdg", "xdg/perceptmetrics/sha256"),
        (CACHE_VARIABLE, tmp_path / "own", "own/sha256"),
        (CACHE_VARIABLE, "~/tilde", "tilde/sha256"),
    ]:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv(variable, str(home))
        file_sha256(file)
        assert len(list((tmp_path / place).iterdir())) == 1


def test_a_hash_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "records"))
    file = tmp_path / "weights.bin"
    file.write_bytes(b"first")
    assert file_sha256(file) == sha256(b"first")
    stat = file.stat()
    monkeypatch.setattr(weights, "_sha256_of", None)
    assert file_sha256(file) == sha256(b"first"), "the file was read again"
    monkeypatch.undo()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "records"))

    (tmp_path / "copy").write_bytes(b"other")  # of the same size and time, as copying tools leave it
    os.utime(tmp_path / "copy", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "copy").rename(file)
    assert file_sha256(file) == sha256(b"other")
    file.write_bytes(b"longer than before")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert file_sha256(file) == sha256(b"longer than before")


# Failures of the Hub


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        ("gated", "request access on the Hub, then set HF_TOKEN"),
        ("unauthorised", "no such repository, or it is private"),
        ("server error", r"the Hub cannot be reached \(.*500"),
        ("no metadata", r"does not seem to be (served by a Hugging Face Hub|on huggingface\.co)"),
        ("hang up", r"the download failed \(|the Hub cannot be reached \("),
        ("cut", r"the download failed \("),
    ],
)
def test_a_failing_hub_is_an_error_that_says_why(hub, source, failure, sentence):
    hub.failure = failure
    message = message_of(source)
    assert re.search(sentence, message)
    assert "perceptmetrics fetch some_metric" in message
    hub.failure = None
    assert resolve(source, OPTIONS).read_bytes() == CONTENT  # nothing half-done is left behind


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"repo": "organisation/unknown"}, "no such repository"),
        ({"revision": "0" * 40}, "no such revision"),
        ({"filename": "unknown.bin"}, "no such file at that revision"),
        ({"repo": "organisation/not--a--name"}, "the download failed ("),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, source, change, sentence):
    message = message_of(replace(source, **change))
    assert sentence in message
    assert next(iter(change.values())) in message


def test_a_hub_that_nobody_answers_for_is_out_of_reach(hub, source, monkeypatch):
    replace_endpoint(monkeypatch, "http://127.0.0.1:9")
    assert re.search(r"the Hub cannot be reached \(.*\[Errno", message_of(source))


@pytest.mark.parametrize("filename", [LARGE, SMALL])
def test_an_interrupted_download_is_never_taken_for_a_whole_file(hub, source, filename, tmp_path):
    source = replace(source, filename=filename, sha256=None)
    hub.failure = "cut"
    message_of(source)
    assert find_cached(source) is None
    message_of(source, OFFLINE)
    blobs = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size]
    assert not [path for path in blobs if FILES[filename].startswith(path.read_bytes())]


def test_an_interrupted_download_is_resumed(hub, source, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what is kept of a cut body are whole chunks
    hub.failure = "cut once"
    if Version(huggingface_hub.__version__) < Version("1.24"):  # which leaves it to the next call
        message_of(source)
    assert resolve(source, OPTIONS).read_bytes() == CONTENT
    read = [request.range for request in hub.take_downloads() if request.method == "GET"]
    assert read == [None, f"bytes={len(CONTENT) // 2}-"]


# Files of packages


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path that carries a weight file."""
    folder = tmp_path / "site" / "carrier_of_weights" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('it is found, but not imported')")
    (folder / "weights.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "records"))
    return PackageFile(package="carrier_of_weights", filename="models/weights.pth", extra="lite")


def test_a_file_is_found_in_its_package(package):
    path = resolve(package, OPTIONS)
    assert path.read_bytes() == CONTENT
    assert find_cached(package) == path
    assert resolve(replace(package, sha256=sha256(CONTENT)), OFFLINE) == path


def test_a_file_of_a_package_is_verified(package):
    assert sha256(CONTENT) in message_of(replace(package, sha256="0" * 64))


def test_a_package_without_its_file_is_an_error(package):
    absent = replace(package, filename="models/absent.pth")
    assert find_cached(absent) is None
    message = message_of(absent)
    assert "absent.pth is missing" in message
    assert "Reinstall" in message


@pytest.mark.parametrize("name", ["package_that_nobody_wrote", "hashlib"])
def test_a_package_that_is_not_installed_is_an_error_with_the_pip_line(package, name):
    absent = replace(package, package=name)
    assert find_cached(absent) is None
    with pytest.raises(MissingExtraError) as caught:
        resolve(absent, OPTIONS)
    for part in ("'some_metric'", name, 'pip install "perceptmetrics[lite]"'):
        assert part in str(caught.value)


# In another process, where huggingface_hub itself reads the environment

_RESOLVE = """
import sys
from perceptmetrics.spec import HubFile
from perceptmetrics.weights.resolve import ResolveOptions, resolve
source = HubFile(repo=sys.argv[1], filename=sys.argv[2], revision=sys.argv[3])
print(resolve(source, ResolveOptions(metric="some_metric")))
"""


def test_the_environment_of_a_process_is_honoured(hub, source, tmp_path):
    def run(**more):
        environment = os.environ | hub.environment(tmp_path / "home") | more
        environment.pop("HF_HUB_CACHE", None)
        command = [sys.executable, "-c", _RESOLVE, REPO, LARGE, source.revision]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    refused = run(HF_HUB_OFFLINE="1")
    assert refused.returncode != 0
    assert "downloads are disabled" in refused.stderr
    assert hub.take_requests() == []

    fetched = run()
    assert fetched.returncode == 0, fetched.stderr
    path = Path(fetched.stdout.strip())
    assert path.read_bytes() == CONTENT
    assert tmp_path / "home" / "hub" in path.parents
    assert [request.method for request in hub.take_downloads()] == ["HEAD", "GET"]

    again = run(HF_HUB_OFFLINE="1")
    assert again.stdout == fetched.stdout
    assert hub.take_requests() == []
    assert list((tmp_path / "home" / "state" / "first-seen").iterdir())


def test_the_fetch_line_gets_the_files_that_are_missing(tmp_path):
    with pytest.raises(WeightsError, match="perceptmetrics fetch clipiqa --backbone ViT-B/32 --cache-dir"):
        create_metric("clipiqa", backbone="ViT-B/32", cache_dir=tmp_path, local_files_only=True)
    with pytest.raises(WeightsError, match="perceptmetrics fetch clipiqa --revision main --cache-dir"):
        create_metric("clipiqa", revision="main", cache_dir=tmp_path, local_files_only=True)
