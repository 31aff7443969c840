"""What is done to a network leaves a frozen metric inside it, and the relatives of that metric, as they are."""

from __future__ import annotations

import copy
import logging
import pickle
from functools import cache

import pytest
import torch
from timm.models import named_apply
from torch import nn
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, update_bn

from perceptmetrics import MetricSuite, PerceptualLoss, create_metric
from perceptmetrics.errors import InvalidOptionError, WeightsError
from perceptmetrics.models.closed import Closed
from perceptmetrics.weights.cache import CACHE_VARIABLE
from tests.losses.restoration import Residual
from tests.support.mean_colour_metric import tiny_metric
from tests.support.photographs import photographs
from tests.support.released_files import write_released

pytestmark = pytest.mark.usefixtures("tiny_metrics")

NAMES = ("perceptclip_mem", "perceptclip_emo")  # tuned from one CLIP, so that they share its tensors


@cache
def pictures():
    """Shape (2, 3, 48, 48)."""
    return photographs(48, 48)[:2]


class Network(nn.Module):
    """A network with a judge: convolutions and batch normalisation that train, and what must not change."""

    def __init__(self, judge):
        super().__init__()
        self.layers = nn.ModuleList([Residual(), nn.BatchNorm2d(3)])
        self.judge = judge
        self.nested = nn.ModuleDict({"judges": nn.ModuleList([judge])})

    def forward(self, images):
        for layer in self.layers:
            images = layer(images)
        found = self.judge(images.clamp(0, 1))
        return sum(score.mean() for score in found.values()) if isinstance(found, dict) else found.mean()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return {name: write_released(folder / f"{name}.pth", name) for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def cache_of_all(tmp_path_factory):
    """The files are converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def made(files):
    return {name: create_metric(name, checkpoint=files[name]) for name in NAMES}


JUDGES = {
    "metric": lambda made: made[NAMES[0]],
    "loss": lambda made: PerceptualLoss(made[NAMES[0]], weight=0.5),
    "suite": lambda made: MetricSuite([made[NAMES[0]]]),
}
judges = pytest.mark.parametrize("kind", JUDGES)


def rows(judge):
    """Scores of a judge, and its loss if it is one."""
    with torch.no_grad():
        found = judge(pictures())
    return list(found.values()) if isinstance(found, dict) else [found]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# What a parent does


def thaw(network):
    network.requires_grad_(False)
    network.requires_grad_(True)


def thaw_each_parameter(network):
    for _, parameter in network.named_parameters():
        parameter.requires_grad = True


def thaw_the_parameters_of_each_module(network):
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(True)


def initialise_by_class(network):
    def initialise(module):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.constant_(module.weight, 0.01)

    network.apply(initialise)


def initialise_what_has_weights(network):
    def initialise(module):
        if getattr(module, "weight", None) is not None:
            nn.init.constant_(module.weight, 0.01)

    network.apply(initialise)
    for module in network.modules():
        if isinstance(getattr(module, "weight", None), nn.Parameter):
            nn.init.constant_(module.weight, 0.01)


def initialise_all_parameters_of_each_module(network):
    def initialise(module):
        for _, parameter in module.named_parameters():
            nn.init.uniform_(parameter.data, -0.08, 0.08)

    network.apply(initialise)


def initialise_as_timm_does(network):
    named_apply(lambda module, name: initialise_by_class(module) if "judge" in name else None, network)


def reset(network):
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def empty(network):
    network.to_empty(device="cpu")
    network.load_state_dict(Network(network.judge).state_dict())


def fill_by_apply(network):
    network._apply(lambda tensor: torch.full_like(tensor, 0.01))


def change_buffers(network):
    for buffer in network.buffers():
        buffer.zero_()


def overwrite_by_a_vector(network):
    vector = parameters_to_vector(network.parameters())
    vector_to_parameters(torch.zeros_like(vector), network.parameters())


def zeros_for(network):
    own = {f"judge.{name}": torch.zeros_like(tensor) for name, tensor in weights_of(network.judge).items()}
    nested = {f"nested.judges.0.{name.removeprefix('judge.')}": tensor for name, tensor in own.items()}
    return {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()} | own | nested


def weights_of(judge):
    """As an older checkpoint of the network holds them."""
    if isinstance(judge, PerceptualLoss):
        return {f"metric.{name}": tensor for name, tensor in judge.metric.state_dict().items()}
    return judge.state_dict()


def load_zeros(network):
    network.load_state_dict(zeros_for(network))


def load_zeros_by_assignment(network):
    network.load_state_dict(zeros_for(network), assign=True)


def train(network):
    thaw(network)
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    network(pictures()).backward()
    clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    network.zero_grad(set_to_none=False)
    optimiser.step()


def average(network):
    averaged = AveragedModel(network, use_buffers=True)
    averaged.update_parameters(network)
    train(network)
    averaged.update_parameters(network)
    assert equal(rows(averaged.module.judge), rows(network.judge))


def update_batch_statistics(network):
    update_bn([pictures(), pictures()], network)


def normalise_spectra(network):
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            spectral_norm(module)


def replace_modules(network):
    """As `torch.ao.quantization`, peft and others walk."""
    for name, child in network.named_children():
        if isinstance(child, nn.Linear):
            setattr(network, name, nn.Linear(child.in_features, child.out_features))
        replace_modules(child)


def synchronise_batch_norms(network):
    nn.SyncBatchNorm.convert_sync_batchnorm(network)


def switch_modes(network):
    network.train()
    network.eval()
    network.train()


ACTS = [
    thaw,
    thaw_each_parameter,
    thaw_the_parameters_of_each_module,
    initialise_by_class,
    initialise_what_has_weights,
    initialise_all_parameters_of_each_module,
    initialise_as_timm_does,
    reset,
    empty,
    fill_by_apply,
    change_buffers,
    overwrite_by_a_vector,
    load_zeros,
    load_zeros_by_assignment,
    train,
    average,
    update_batch_statistics,
    normalise_spectra,
    replace_modules,
    synchronise_batch_norms,
    switch_modes,
]


@judges
@pytest.mark.parametrize("act", ACTS)
def test_what_a_parent_does_changes_no_score(made, files, kind, act):
    judge, relative = JUDGES[kind](made), made[NAMES[1]]
    network = Network(judge)
    before, relative_before = rows(judge), rows(relative)
    act(network)
    assert equal(rows(network.judge), before)
    assert equal(rows(relative), relative_before)
    assert equal(rows(create_metric(NAMES[1], checkpoint=files[NAMES[1]])), relative_before)
    inside = judge.metric if kind == "loss" else judge
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in inside.parameters())
    network(pictures()).backward()  # it still judges, with gradients to what is judged


@judges
@pytest.mark.parametrize("wrapped", [nn.Sequential, lambda judge: nn.ModuleDict({"a": nn.ModuleList([judge])})])
def test_a_parent_sees_no_tensor_but_a_judge_shows_its_own(made, kind, wrapped):
    judge = JUDGES[kind](made)
    parent = wrapped(judge)
    assert not list(parent.parameters())
    assert not list(parent.buffers())
    assert not parent.state_dict()
    assert judge in list(parent.modules())
    if kind != "loss":
        names = [name for name, _ in judge.named_parameters()]
        assert len(names) == len(list(judge.parameters())) > 0
        assert set(names) <= judge.state_dict().keys()
        assert all(judge.get_parameter(name) is parameter for name, parameter in judge.named_parameters())
        assert len(list(judge.modules())) > 5
        assert "Conv2d" in repr(judge)
        assert "Conv2d" in repr(parent)


@judges
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_parent_converts_the_judge_but_none_of_its_relatives(made, kind, dtype):
    judge, relative = JUDGES[kind](made), made[NAMES[1]]
    before = rows(relative)
    network = Network(judge).to(dtype)
    inside = judge.metric if kind == "loss" else judge
    assert {parameter.dtype for parameter in inside.parameters()} == {dtype}
    assert all(row.isfinite().all() for row in rows(judge))
    assert {parameter.dtype for parameter in relative.parameters()} == {torch.float32}
    assert equal(rows(relative), before)
    assert next(network.layers.parameters()).dtype == dtype


@judges
@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.float8_e4m3fn])
def test_a_precision_in_which_no_metric_computes_is_refused(made, kind, dtype):
    judge = JUDGES[kind](made)
    before = rows(judge)
    with pytest.raises(InvalidOptionError, match=f"computes in torch.float32, .* not in {dtype}"):
        judge.type(dtype)
    assert equal(rows(judge), before)


@judges
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_of_a_parent_judge_alike_and_stay_closed(made, kind, copied):
    network = Network(JUDGES[kind](made))
    clone = copied(network)
    thaw(clone)
    load_zeros(clone)
    assert equal(rows(clone.judge), rows(network.judge))
    assert clone.judge is clone.nested["judges"][0]


@judges
def test_other_weights_in_an_older_checkpoint_are_not_loaded_but_told(made, kind, caplog):
    network = Network(JUDGES[kind](made))
    state = network.state_dict() | {f"judge.{name}": value for name, value in weights_of(network.judge).items()}
    with caplog.at_level(logging.WARNING):
        network.load_state_dict(state, strict=True)
    assert not caplog.records
    name = next(name for name in state if name.startswith("judge."))
    for changed in ({name: state[name] + 1}, {name + "_unknown": state[name]}, {name: state[name][None]}):
        caplog.clear()
        network.load_state_dict(state | changed, strict=True)
        place = "judge.metric" if kind == "loss" else "judge"
        assert [record.args for record in caplog.records] == [(place,)]
        assert "They are not loaded" in caplog.text


# What is asked of a judge itself


def test_a_metric_that_trains_is_seen_by_its_parent(made):
    metric, relative = made[NAMES[0]], made[NAMES[1]]
    network, before = Network(metric), rows(relative)
    own = {id(parameter) for parameter in metric.parameters()}
    metric.requires_grad_(True)
    assert own <= {id(parameter) for parameter in network.parameters()}
    assert any(name.startswith("judge.encoder.") for name in network.state_dict())
    was = rows(metric)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    network(pictures()).backward()
    optimiser.step()
    assert not equal(rows(metric), was)
    assert equal(rows(relative), before)
    was = rows(metric)
    metric.requires_grad_(False)
    thaw(network)
    train(network)
    assert equal(rows(metric), was)


def test_a_suite_trains_all_its_metrics_and_nothing_else(made):
    suite, relative = MetricSuite([made[NAMES[0]]]), made[NAMES[1]]
    before, relative_before = rows(suite), rows(relative)
    suite.requires_grad_(True)
    with torch.no_grad():
        for parameter in suite.parameters():
            parameter.add_(0.1)
    assert not equal(rows(suite), before)
    assert equal(rows(relative), relative_before)
    suite.requires_grad_(False)
    assert not list(nn.Sequential(suite).parameters())


def test_a_suite_loads_its_own_state(made):
    suite = MetricSuite([made[NAMES[0]]])
    state, before = {name: tensor.clone() for name, tensor in suite.state_dict().items()}, rows(suite)
    suite.load_state_dict({name: tensor + 0.1 for name, tensor in state.items()})
    assert not equal(rows(suite), before)
    suite.load_state_dict(state)
    assert equal(rows(suite), before)
    with pytest.raises(RuntimeError, match="Missing key"):
        suite.load_state_dict({})


def test_the_state_of_a_metric_is_that_of_an_ordinary_module(made):
    metric = made[NAMES[0]]
    closed = metric.state_dict(), [name for name, _ in metric.named_modules()], repr(metric)
    metric.open()
    opened = metric.state_dict(), [name for name, _ in metric.named_modules()], repr(metric)
    assert list(closed[0]) == list(opened[0])
    assert closed[0]._metadata == opened[0]._metadata
    assert closed[1:] == opened[1:]
    metric.close()
    assert not list(metric.children())


def test_a_part_that_is_replaced_is_hidden_like_the_first(made):
    metric, other = made[NAMES[0]], made[NAMES[1]]
    metric.encoder = other.encoder
    assert not list(nn.Sequential(metric).parameters())
    assert equal(rows(metric), rows(metric))
    assert metric.get_submodule("encoder") is other.encoder


def test_weights_that_were_thawed_without_the_metric_are_refused_when_a_loss_is_taken(made):
    metric = made[NAMES[0]]
    network, before = Network(metric), rows(metric)
    for child in network.children():
        for parameter in child.parameters():
            parameter.requires_grad = True
    with pytest.raises(InvalidOptionError, match=r"weights of the frozen metric 'perceptclip_mem'.*requires_grad_\(F"):
        network(pictures())
    assert equal(rows(metric), before)  # without gradients nothing can train
    metric.requires_grad_(False)
    network(pictures()).backward()


def test_a_head_alone_can_train(made):
    metric = made[NAMES[0]]
    metric.head.requires_grad_(True)
    metric(pictures()).sum().backward()
    assert all(parameter.grad is not None for parameter in metric.head.parameters())
    assert all(parameter.grad is None for parameter in metric.encoder.parameters())


def test_shared_weights_that_were_changed_in_place_are_noticed_by_all_who_use_them(made):
    metric, relative = made[NAMES[0]], made[NAMES[1]]
    with torch.no_grad():
        for parameter in metric.parameters():
            parameter.mul_(0.5)
    for one in (metric, relative):
        with pytest.raises(WeightsError, match="were changed in place"):
            one(pictures())


def test_a_metric_with_weights_of_its_own_may_be_changed_in_place():
    metric = tiny_metric()
    before = rows(metric)
    with torch.no_grad():
        for parameter in metric.parameters():
            parameter.mul_(0.5)
    assert not equal(rows(metric), before)


@judges
def test_a_replica_follows_its_input(made, kind):
    """As `torch.nn.DataParallel` makes one for each device; here the other device is 'meta'."""
    judge = JUDGES[kind](made)
    replica = judge._replicate_for_data_parallel()
    assert equal(rows(replica), rows(judge))
    found = replica(pictures().to("meta"))
    found = next(iter(found.values())) if isinstance(found, dict) else found
    assert found.device.type == "meta"
    assert rows(judge)[0].device.type == "cpu"


def test_a_closed_module_of_any_kind():
    """What `Closed` promises, without a metric."""

    class Judge(Closed):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1)
            self.close()

    judge = Judge()
    assert [name for name, _ in judge.named_parameters()] == ["linear.weight", "linear.bias"]
    assert not list(nn.Sequential(judge, judge).parameters())
    names = [name for name, _ in nn.Sequential(judge, judge).named_modules(remove_duplicate=False)]
    assert names == ["", "0", "1"]
    assert [name for name, _ in judge.named_modules(remove_duplicate=False)] == ["", "linear"]
    assert judge.apply(pytest.fail) is judge
    assert isinstance(judge.opened(), Judge)
    assert judge.opened().linear is judge.linear
