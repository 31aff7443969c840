"""Score maps against their formulas, written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from perceptmetrics.errors import InvalidSpecError
from perceptmetrics.spec import AffineMap, ExpectedLevelMap, IdentityMap, LogisticMap, MarginalMap, SoftmaxMap

RAW = torch.tensor([[-2.0, 0.5, 1.0, 3.0], [0.0, 0.0, -1.0, 2.0]])


def test_maps_of_single_outputs_are_their_formulas():
    assert IdentityMap()(RAW).equal(RAW)
    torch.testing.assert_close(AffineMap(scale=2.0, shift=-3.0)(RAW), 2 * RAW - 3)
    expected = [[1 / (1 + math.exp(-(2 * x - 0.5))) for x in row] for row in RAW.tolist()]
    torch.testing.assert_close(LogisticMap(scale=2.0, shift=-0.5)(RAW), torch.tensor(expected))


def test_softmax_gives_probabilities_of_the_labels_of_each_row():
    rows = [[math.exp(x) for x in row] for row in RAW.tolist()]
    expected = torch.tensor([[x / sum(row) for x in row] for row in rows])
    torch.testing.assert_close(SoftmaxMap()(RAW), expected)
    torch.testing.assert_close(SoftmaxMap()(RAW[0]), expected[0])
    torch.testing.assert_close(SoftmaxMap()(RAW[None]), expected[None])


def test_expected_level_weighs_evenly_spread_levels_by_their_probabilities():
    score_map = ExpectedLevelMap(lowest=1.0, highest=4.0, levels=2)
    probabilities = RAW.softmax(dim=-1)
    expected = 1.0 * probabilities[:, :2].sum(dim=1, keepdim=True) + 4.0 * probabilities[:, 2:].sum(dim=1, keepdim=True)
    torch.testing.assert_close(score_map(RAW), expected)
    assert score_map.outputs(4) == 1
    four = ExpectedLevelMap(lowest=1.0, highest=4.0, levels=4)
    torch.testing.assert_close(four(RAW), probabilities @ torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert four.for_unit_ratings() == ExpectedLevelMap(lowest=0.0, highest=1.0, levels=4)
    with pytest.raises(InvalidSpecError, match=r"^ExpectedLevelMap\.levels 3 must divide the 4 raw outputs\.$"):
        ExpectedLevelMap(lowest=0.0, highest=1.0, levels=3).outputs(4)


def test_marginals_add_up_the_probabilities_of_all_combinations():
    raw = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    grid = raw.softmax(dim=-1).reshape(5, 2, 3)
    torch.testing.assert_close(MarginalMap(sizes=(2, 3), axis=0)(raw), grid.sum(dim=2))
    torch.testing.assert_close(MarginalMap(sizes=(2, 3), axis=1)(raw), grid.sum(dim=1))
    torch.testing.assert_close(MarginalMap(sizes=(6,), axis=0)(raw), raw.softmax(dim=-1))
    assert [MarginalMap(sizes=(2, 3), axis=axis).outputs(6) for axis in (0, 1)] == [2, 3]
    with pytest.raises(InvalidSpecError, match=r"^MarginalMap\.sizes \(2, 3\) must give the 5 raw outputs\.$"):
        MarginalMap(sizes=(2, 3), axis=0).outputs(5)
