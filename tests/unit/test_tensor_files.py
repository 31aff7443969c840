"""Reading tensors: every kind of file, nothing executed, and one kind of error for whatever is wrong with a file."""

from __future__ import annotations

import io
import pickle
import random
import warnings
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from perceptmetrics.errors import WeightsError
from perceptmetrics.weights.tensor_files import BARE_TENSOR, check_archive, read_tensors

STATE = {
    "layer.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "layer.bias": torch.linspace(-1, 1, 3).half(),
    "scale": torch.tensor(2.5),
    "steps": torch.tensor([3, 4]),
}


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("empty", torch.zeros(0, 3))

    def forward(self, x):
        return self.linear(x)


class Outer(nn.Module):
    """Holds what makes archives difficult: nesting, sharing, views, other types, and attributes that are no tensors."""

    def __init__(self):
        super().__init__()
        storage = torch.arange(24.0)
        self.first = Inner()
        self.same = self.first
        self.rows = nn.ModuleList([Inner(), nn.ReLU()])
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("fp16", torch.linspace(0, 1, 5).half())
        self.register_buffer("bf16", torch.linspace(0, 1, 5).bfloat16())
        self.register_buffer("head", storage[:6].view(2, 3))
        self.register_buffer("tail", storage[20:])
        self.register_buffer("transposed", storage[6:18].view(3, 4).T)
        self.register_buffer("strided", storage[::5])
        self.sizes = [1, 2, 3]
        self.factors = [0.5, 1.5]
        self.name = "outer"
        self.pair = (1, "two")

    def forward(self, x):
        for row in self.rows:
            x = row(self.first(x)[:, :3])
        return x * self.scale


def torchscript_bytes(module):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the files that it wrote will stay
        torch.jit.save(torch.jit.script(module.eval()), stream)
    return stream.getvalue()


def torch_bytes(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def safetensors_bytes(tmp_path):
    save_file(STATE, tmp_path / "whole.safetensors")
    return (tmp_path / "whole.safetensors").read_bytes()


@pytest.fixture(
    params=["safetensors", "zip", "legacy", "TorchScript"],
)
def whole_file(request, tmp_path):
    """Name and bytes of a small whole file of each kind."""
    if request.param == "safetensors":
        return "file.safetensors", safetensors_bytes(tmp_path)
    if request.param == "TorchScript":
        torch.manual_seed(0)
        return "file.pt", torchscript_bytes(Inner())
    return "file.bin", torch_bytes(STATE, _use_new_zipfile_serialization=request.param == "zip")


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def assert_same(read, expected):
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype, name
        assert read[name].shape == tensor.shape, name
        assert torch.equal(read[name], tensor), name


def message_of(path):
    with pytest.raises(WeightsError) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# What is read


def test_safetensors_are_read(tmp_path):
    assert_same(read_tensors(write(tmp_path, "x.safetensors", safetensors_bytes(tmp_path))), STATE)


@pytest.mark.parametrize("name", ["x.pt", "x.pth", "x.bin", "without_suffix"])
@pytest.mark.parametrize("new_format", [True, False])
def test_state_dictionaries_are_read(tmp_path, name, new_format):
    data = torch_bytes(OrderedDict(STATE), _use_new_zipfile_serialization=new_format)
    assert_same(read_tensors(write(tmp_path, name, data)), STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"params": state},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"state_dict": {"model": state}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {name: nn.Parameter(t) if t.is_floating_point() else t for name, t in state.items()},
        lambda state: state | {"version": 3, "note": "not a tensor"},
    ],
    ids=["state_dict", "params", "model", "twice", "DataParallel", "parameters", "mixed"],
)
def test_wrappings_are_taken_off(tmp_path, wrap):
    assert_same(read_tensors(write(tmp_path, "x.pth", torch_bytes(wrap(STATE)))), STATE)


def test_a_key_that_only_contains_the_word_module_stays(tmp_path):
    state = {"a.module.weight": torch.ones(2)}
    assert_same(read_tensors(write(tmp_path, "x.pth", torch_bytes(state))), state)


def test_tensors_come_to_the_cpu_in_their_own_layout(tmp_path):
    state = {"transposed": torch.arange(6.0).view(2, 3).T, "slice": torch.arange(10)[3:5]}
    assert_same(read_tensors(write(tmp_path, "x.pth", torch_bytes(state))), state)


# TorchScript archives, as OpenAI published CLIP


@pytest.fixture
def no_torch_jit(monkeypatch):
    """Loading an archive as a program would run what it contains."""

    def refuse(*_, **__):
        pytest.fail("the archive was loaded as a program")

    monkeypatch.setattr(torch.jit, "load", refuse)
    monkeypatch.setattr(torch._C, "import_ir_module", refuse)
    monkeypatch.setattr(torch._C, "import_ir_module_from_buffer", refuse)


def test_a_torchscript_archive_is_read_without_torch_jit(tmp_path, no_torch_jit):
    torch.manual_seed(0)
    module = Outer()
    path = write(tmp_path, "openai.pt", torchscript_bytes(module))
    assert_same(read_tensors(path), dict(module.state_dict()))


def test_the_tensors_of_an_archive_outlive_it(tmp_path, no_torch_jit):
    path = write(tmp_path, "openai.pt", torchscript_bytes(Inner()))
    tensors = read_tensors(path)
    path.unlink()
    tensors["linear.weight"].add_(1)  # their memory is their own, and writable
    assert torch.isfinite(tensors["linear.weight"]).all()


# Nothing is executed


class Malicious:
    """Creates a file when it is unpickled in the ordinary way."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return (open, (str(self.victim), "w"))


def archive_bytes(data_pkl):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data_pkl)
        archive.writestr("archive/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


@pytest.mark.parametrize("disguise", ["zip", "legacy", "bare pickle", "TorchScript", "in a state dictionary"])
def test_a_malicious_pickle_is_refused_before_it_acts(tmp_path, disguise):
    victim = tmp_path / "victim"
    bad = Malicious(victim)
    data = {
        "zip": lambda: torch_bytes(bad),
        "legacy": lambda: torch_bytes(bad, _use_new_zipfile_serialization=False),
        "bare pickle": lambda: pickle.dumps(bad, protocol=2),
        "TorchScript": lambda: archive_bytes(pickle.dumps(bad, protocol=2)),
        "in a state dictionary": lambda: torch_bytes(STATE | {"extra": bad}),
    }[disguise]()
    message = message_of(write(tmp_path, "malicious.pt", data))
    assert not victim.exists()
    assert "never runs code" in message
    assert "open" in message
    assert "convert it to safetensors" in message
    assert "weights_only" not in message  # torch advises to switch its protection off; we do not pass that on


def test_the_malicious_pickle_would_act_if_it_were_let(tmp_path):
    victim = tmp_path / "victim"
    pickle.loads(pickle.dumps(Malicious(victim), protocol=2)).close()
    assert victim.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "Tensor"),
    ],
)
def test_an_archive_may_name_tensors_and_containers_only(tmp_path, module, name):
    data_pkl = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    assert f"{module}.{name}" in message_of(write(tmp_path, "x.pt", archive_bytes(data_pkl)))


@pytest.mark.parametrize(
    ("data_pkl", "opcode"),
    [
        (b"\x80\x02)r\x00\xe1\xf5\x05.", "it stores value 100,000,000 before it has as many"),
        (pickle.dumps(bytearray(9), protocol=5), "FRAME"),
    ],
    ids=["a place in the memo that takes 0.8 GB", "a newer protocol"],
)
def test_an_archive_may_use_only_the_opcodes_of_torchscript(tmp_path, data_pkl, opcode):
    assert opcode in message_of(write(tmp_path, "x.pt", archive_bytes(data_pkl)))


def test_whole_models_are_refused(tmp_path):
    assert "convert it to safetensors" in message_of(write(tmp_path, "x.pt", torch_bytes(nn.Linear(2, 2))))


# Files that are no weights


def test_a_missing_file_is_an_error(tmp_path):
    assert "does not exist" in message_of(tmp_path / "absent.safetensors")
    assert "is not a file" in message_of(tmp_path)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "x.bin"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"<html>Please log in.</html>", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04", b"."],
    ids=["empty", "zero", "web page", "git-lfs pointer", "start of a zip", "dot"],
)
def test_other_files_are_an_error_that_says_what_to_do(tmp_path, name, data):
    message = message_of(write(tmp_path, name, data))
    assert "Fetch it again" in message or "convert it to safetensors" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "holds no tensors"),
        ({"epoch": 3}, "holds no tensors"),
        ({"state_dict": {}}, "holds no tensors"),
        ([torch.ones(2)], "holds a list; expected a state dictionary"),
        (3, "holds a int; expected a state dictionary"),
    ],
    ids=["nothing", "numbers", "nothing inside", "list", "number"],
)
def test_files_without_named_tensors_are_an_error(tmp_path, content, said):
    assert said in message_of(write(tmp_path, "x.pt", torch_bytes(content)))


def test_a_tensor_alone_gets_a_name(tmp_path):
    content = torch.arange(6.0).reshape(2, 3)
    tensors = read_tensors(write(tmp_path, "x.pt", torch_bytes(content)))
    assert tensors.keys() == {BARE_TENSOR}
    assert torch.equal(tensors[BARE_TENSOR], content)


def test_safetensors_without_tensors_are_an_error(tmp_path):
    save_file({}, tmp_path / "x.safetensors")
    assert "holds no tensors" in message_of(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "data_pkl",
    [
        b"\x80\x02N.",
        b"\x80\x02).",
        b"\x80\x02K\x03.",
        b"\x80\x02c__torch__\nModule\n)\x81.",
        b"\x80\x02c__torch__\nModule\n.",
    ],
    ids=["None", "tuple", "number", "module without state", "class"],
)
def test_an_archive_of_something_else_is_an_error(tmp_path, data_pkl):
    message_of(write(tmp_path, "x.pt", archive_bytes(data_pkl)))


def test_an_archive_without_its_pickle_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("archive/constants.pkl", b"")
    assert "truncated or corrupt" in message_of(tmp_path / "x.pt")


# Damaged files


def test_a_truncated_file_is_always_an_error(tmp_path, whole_file):
    name, data = whole_file
    read_tensors(write(tmp_path, name, data))
    lengths = sorted({*range(0, len(data), max(1, len(data) // 150)), *range(len(data) - 20, len(data))})
    for length in lengths:
        message = message_of(write(tmp_path, name, data[:length]))
        assert "Fetch it again" in message or "corrupt" in message


def test_a_damaged_file_gives_tensors_or_the_one_kind_of_error(tmp_path, whole_file):
    """A changed value cannot always be noticed (that is what hashes are for), but nothing else may go wrong."""
    name, data = whole_file
    choose = random.Random(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        try:
            tensors = read_tensors(write(tmp_path, name, bytes(damaged)))
        except WeightsError:
            refused += 1
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    assert refused > 20


def test_an_archive_with_any_damage_passes_the_check_of_its_content_or_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    whole = torch_bytes({"a": torch.ones(3)})
    refused = 0
    for position in range(0, len(whole), 3):
        for value in (0x00, 0xFF):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                check_archive(path)
            except WeightsError:
                refused += 1
    assert refused > 100
