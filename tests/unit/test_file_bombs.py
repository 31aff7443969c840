"""Weight files that would take far more memory than they have bytes are refused at once."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import pickle
import resource
import stat
import subprocess
import sys
import textwrap
import warnings
import zipfile

import pytest
import torch
from safetensors import safe_open
from torch import nn

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.tensor_files import check_archive, read_metadata, read_tensors, save_tensors

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4)}


def repacked(source, target, compression=zipfile.ZIP_DEFLATED, **changed):
    """Copy an archive; `changed` parts, by the end of their name, get another content."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            key = member.filename.rsplit("/", 1)[-1].replace(".", "_")
            packed = compression if key in changed else zipfile.ZIP_STORED
            with new.open(zipfile.ZipInfo(member.filename), "w", force_zip64=True) as stream:
                stream._zinfo.compress_type = packed
                stream._compressor = zipfile._get_compressor(packed)
                for block in changed.get(key, [old.read(member)]):
                    stream.write(block)
    return target


def scripted(path):
    module = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(module), path)
    return path


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "state.pt"
    torch.save(STATE, path)
    return path


def grown(action):
    """What an action adds to the largest memory of this process, in bytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    action()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def refused(path, message, read=read_tensors):
    def act():
        with pytest.raises(WeightsError, match=message):
            read(path)

    assert grown(act) < 200 * 2**20


ZEROS = [bytes(2**22)] * 8


@pytest.mark.parametrize("part", ["data_pkl", "0"])
@pytest.mark.parametrize("kind", ["state", "script"])
@pytest.mark.parametrize("read", [read_tensors, check_archive])
def test_a_compressed_part_is_refused(tmp_path, archive, kind, part, read):
    source = archive if kind == "state" else scripted(tmp_path / "script.pt")
    bomb = repacked(source, tmp_path / "bomb.pt", **{part: ZEROS})
    assert bomb.stat().st_size < 5 * 2**20
    refused(bomb, "is compressed, which PyTorch does not do; it would become 33,554,432 bytes", read)


def test_compressed_source_code_is_not_read(tmp_path):
    path = scripted(tmp_path / "script.pt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as whole, whole.open("script/code/more.py", "w") as stream:
        for block in ZEROS:
            stream.write(block)
    assert set(read_tensors(path)) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    check_archive(path)


@pytest.mark.parametrize("kind", ["state", "script"])
def test_parts_that_lie_over_each_other_are_refused(tmp_path, archive, kind):
    """A directory that names the same bytes many times, each time as another part."""
    path = archive if kind == "state" else scripted(tmp_path / "script.pt")
    with zipfile.ZipFile(path, "a") as whole:
        (largest,) = (member for member in whole.infolist() if member.filename.endswith("/data.pkl"))
        for number in range(2_000):
            twin = zipfile.ZipInfo(largest.filename[:-8] + f"data/{number + 100}")
            twin.CRC, twin.compress_size, twin.file_size = largest.CRC, largest.compress_size, largest.file_size
            twin.header_offset = largest.header_offset
            whole.filelist.append(twin)
        whole._didModify = True
    refused(path, "its parts should have .* bytes, and the file has")


def expanded(*size):
    return torch.zeros(1).expand(*size)


@pytest.mark.parametrize(
    "state",
    [
        {"a": expanded(10**5, 10**5)},
        {"a": expanded(10**9), "b": torch.ones(2)},
        {str(number): expanded(1_000) for number in range(1_000)},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_expanded_tensors_are_refused(tmp_path, state, legacy):
    path = tmp_path / "state.pt"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    refused(path, "its tensors would take .* bytes, and the file has")


def test_tensors_with_several_names_are_read(tmp_path):
    tied = torch.randn(50, 50)
    torch.save({"embedding": tied, "output": tied, "third": tied.T}, tmp_path / "state.pt")
    assert len(read_tensors(tmp_path / "state.pt")) == 3


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(10**6, 10**6, device="meta"),
        torch.sparse_coo_tensor(size=(10**6, 10**6), check_invariants=True),
    ],
    ids=["meta", "sparse"],
)
def test_tensors_without_plain_content_are_refused(tmp_path, tensor):
    torch.save({"a": tensor}, tmp_path / "state.pt")
    refused(tmp_path / "state.pt", "'a' of .* is not dense|Validating sparse tensor")


def test_tensors_without_names_are_refused(tmp_path):
    torch.save({("a", 1): torch.ones(1)}, tmp_path / "state.pt")
    refused(tmp_path / "state.pt", "tensors without names")
    torch.save({0: torch.ones(1)}, tmp_path / "numbers.pt")
    assert set(read_tensors(tmp_path / "numbers.pt")) == {"0"}


def test_a_storage_that_the_pickle_names_often_is_read_once(tmp_path):
    """Every mention of a storage in a scripted module would be another copy of it."""
    storage = bytes(2**24)
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        bomb.writestr("bomb/constants.pkl", b"")
        bomb.writestr("bomb/data/0", storage)
        # (__torch__.M, state {name: tensor}); every tensor mentions the storage anew
        out = bytearray(b"\x80\x02c__torch__\nM\n)\x81}(")
        for number in range(200):
            name = f"w{number}".encode()
            out += b"X" + len(name).to_bytes(4, "little") + name
            out += b"ctorch._utils\n_rebuild_tensor_v2\n("
            out += b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
            out += b"K\x00K\x01\x85K\x01\x85\x89NtR"
        out += b"ub."
        bomb.writestr("bomb/data.pkl", bytes(out))
    assert grown(lambda: read_tensors(tmp_path / "bomb.pt")) < 400 * 2**20
    assert len(read_tensors(tmp_path / "bomb.pt")) == 200


def test_modules_that_are_each_others_parts_end(tmp_path):
    """Two to the power of 60 paths through 60 modules."""
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        bomb.writestr("bomb/constants.pkl", b"")
        out = bytearray(b"\x80\x02c__torch__\nM\n)\x81}X\x01\x00\x00\x00aK\x01sbq\x00")
        for level in range(60):
            out += b"0c__torch__\nM\n)\x81}(" + b"".join(
                b"X\x01\x00\x00\x00" + name + b"h" + bytes([level]) for name in (b"x", b"y")
            )
            out += b"ubq" + bytes([level + 1])
        out += b"."
        bomb.writestr("bomb/data.pkl", bytes(out))
    refused(tmp_path / "bomb.pt", "more than 10,000 modules")


@pytest.mark.parametrize("length", [2**63, 2**40, 10**8, 5_000])
def test_a_header_that_is_too_long_is_refused(tmp_path, length):
    path = tmp_path / "state.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + b" " * 1_000)
    refused(path, f"announces a header of {length:,} bytes")
    refused(path, f"announces a header of {length:,} bytes", read_metadata)


def test_a_large_header_is_not_parsed(tmp_path):
    path = tmp_path / "state.safetensors"
    header = json.dumps({"__metadata__": {"": " " * 10**7}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(path, "announces a header")
    refused(path, "announces a header", read_metadata)


def test_a_legacy_file_that_announces_a_terabyte_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    torch.save({"a": torch.ones(7_777)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.count(b"Ma\x1e") >= 1
    path.write_bytes(content.replace(b"Ma\x1e", b"\x8a\x06" + (10**12).to_bytes(6, "little")))
    code = """
        import resource, sys
        from pathlib import Path
        from perceptmetrics.errors import WeightsError
        from perceptmetrics.weights.tensor_files import read_tensors
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        try:
            read_tensors(Path(sys.argv[1]))
        except WeightsError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], capture_output=True, text=True, check=True
    )
    assert "is truncated or corrupt" in run.stdout


def endless_key(shared=60):
    """A pickle of {tuple: 1} whose tuple holds the one before it twice, `shared` times over: hashing it never ends."""
    instructions = b"\x80\x02}K\x00\x85q\x000"
    for number in range(shared):
        instructions += b"h" + bytes([number]) + b"h" + bytes([number]) + b"\x86q" + bytes([number + 1]) + b"0"
    return instructions + b"h" + bytes([shared]) + b"K\x01s."


@pytest.mark.parametrize("form", ["archive", "legacy", "TorchScript"])
def test_a_key_that_is_hashed_forever_is_refused(tmp_path, archive, form):
    if form == "legacy":
        path = tmp_path / "legacy.pth"
        before = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in before) + endless_key())
    else:
        source = archive if form == "archive" else scripted(tmp_path / "scripted.pt")
        path = repacked(source, tmp_path / "key.pt", zipfile.ZIP_STORED, data_pkl=[endless_key()])
    refused(path, "more than 10,000,000 parts")


def test_many_tensors_and_nested_containers_are_read(tmp_path):
    path = tmp_path / "state.pt"
    shape = torch.Size([2, 3])
    torch.save(
        {"state_dict": {f"layer.{number}": torch.ones(shape) for number in range(500)}, "config": [shape] * 9}, path
    )
    assert len(read_tensors(path)) == 500


# What is written


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_tensor_file_has_the_mode_of_any_new_file(tmp_path, umask):
    save_tensors(STATE, tmp_path / "a.safetensors")
    (tmp_path / "b").write_text("")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o666 & ~umask}
    assert os.umask(umask) == umask


def test_equal_tensors_and_notes_give_equal_bytes(tmp_path):
    odd = "".join(map(chr, range(0x20))) + '"\\/\x7f é 写真 \U0001f600 \u2028'
    notes = {f"note {number} {odd}": odd * number for number in range(12)}
    hashes = set()
    for order in (notes, dict(reversed(notes.items())), notes, notes):
        path = tmp_path / "a.safetensors"
        save_tensors(dict(reversed(STATE.items())) if order is notes else STATE, path, order)
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
        assert read_metadata(path) == notes
        assert all(torch.equal(tensor, STATE[name]) for name, tensor in read_tensors(path).items())
        with safe_open(path, framework="pt") as opened:
            assert opened.metadata() == notes
    assert len(hashes) == 1


def test_pickles_with_ordered_dictionaries_are_read(tmp_path):
    torch.save(collections.OrderedDict(STATE), tmp_path / "state.pt")
    assert set(read_tensors(tmp_path / "state.pt")) == set(STATE)
