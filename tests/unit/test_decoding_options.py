"""`icc` and `max_image_pixels` reach every road by which images are read."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

import perceptmetrics
from perceptmetrics import MetricSuite, create_metric
from perceptmetrics._util.threads import run_ahead
from perceptmetrics.apps.demo import Offer, Studio, studio
from perceptmetrics.datasets.degraded import DegradedPhotograph, Showing
from perceptmetrics.errors import InvalidImageError, InvalidOptionError
from perceptmetrics.explain import explain_images, saliency_map
from perceptmetrics.images.decode import decode_ahead
from perceptmetrics.images.load import load_image
from perceptmetrics.images.options import DEFAULT_DECODING, DecodeOptions, current_decoding, decoding
from perceptmetrics.scoring.stream import score_images
from tests.cli.in_process import Command
from tests.service.asking import asked, post
from tests.support.encoded_images import encode, noise
from tests.support.mean_colour_metric import tiny_metric
from tests.unit.test_colour_profiles import PROFILES

pytest.importorskip("fastapi")

IGNORED = DecodeOptions(icc="ignore")
CONTENT = encode(noise(40, 60), "PNG", icc_profile=PROFILES["ProPhoto"])
PLAIN = encode(noise(40, 60), "PNG")


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "wide.png"
    path.write_bytes(CONTENT)
    return path


def ignoring():
    """A metric that ignores profiles."""
    metric = tiny_metric()
    metric.decoding = IGNORED
    return metric


def test_each_source_of_a_metric(photograph: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(photograph, "wide.png")
    sources = [photograph, str(photograph.parent), CONTENT, io.BytesIO(CONTENT), Image.open(photograph), [CONTENT]]
    plain = tiny_metric().score(PLAIN)
    for source in [*sources, tmp_path / "shard.tar"]:
        for workers in (0, 2):
            if hasattr(source, "seek") and not isinstance(source, Image.Image):
                source.seek(0)
            assert torch.equal(ignoring().score(source, workers=workers).reshape(1), plain)
    assert not torch.equal(tiny_metric().score(CONTENT), plain)


def test_streams_and_suites(photograph: Path) -> None:
    (plain,) = score_images([tiny_metric()], [PLAIN])
    (found,) = score_images([ignoring()], [photograph])
    assert found.scores == plain.scores
    assert torch.equal(MetricSuite([ignoring()]).score(photograph)["tiny"], tiny_metric().score(PLAIN).reshape(1))
    with decoding(IGNORED):
        (found,) = score_images([tiny_metric()], [photograph])
    assert found.scores == plain.scores


def test_metrics_that_score_the_same_images_decode_them_in_one_way() -> None:
    other = create_metric("lite_iqa", icc="convert")
    MetricSuite([tiny_metric(), other])
    with pytest.raises(InvalidOptionError, match=r"must decode them in one way.*same icc="):
        MetricSuite([ignoring(), other])


def test_the_keywords_of_create_metric(photograph: Path) -> None:
    plain = create_metric("lite_iqa").score(PLAIN)
    assert torch.equal(create_metric("lite_iqa", icc="ignore").score(photograph), plain)
    assert not torch.equal(create_metric("lite_iqa", icc="convert").score(photograph), plain)
    with decoding(IGNORED):
        assert torch.equal(create_metric("lite_iqa").score(photograph), plain)
        assert not torch.equal(create_metric("lite_iqa", icc="convert").score(photograph), plain)
    with pytest.raises(InvalidImageError, match="60 x 40: it has more than 2,399 pixels"):
        create_metric("lite_iqa", max_image_pixels=2399).score(photograph)
    for options in ({"icc": "srgb"}, {"max_image_pixels": 0}):
        with pytest.raises(InvalidOptionError, match=f"{next(iter(options))} must be"):
            create_metric("lite_iqa", **options)


def test_explanations(photograph: Path) -> None:
    assert torch.equal(saliency_map(ignoring(), photograph).values, saliency_map(tiny_metric(), PLAIN).values)
    (explained,) = explain_images(ignoring(), [photograph], methods=("saliency",)).images
    assert explained.scores.item() == pytest.approx(tiny_metric().score(PLAIN).item(), abs=1e-6)
    assert (explained.pixels == noise(40, 60)).all()
    assert explained.saliency.score == pytest.approx(explained.scores.item(), abs=1e-6)


def test_images_that_a_data_set_renders(photograph: Path) -> None:
    rung = DegradedPhotograph(photograph=photograph, showing=Showing(), degradation=None)
    with decoding(IGNORED):
        assert torch.equal(rung.render().float() / 255, load_image(PLAIN))
    assert not torch.equal(rung.render().float() / 255, load_image(PLAIN))


def test_the_service(photograph: Path) -> None:
    async def ask(client):
        return await post(client, CONTENT)

    (found,) = asked(ask, ignoring()).json()["images"]
    assert found["scores"]["tiny"] == pytest.approx(tiny_metric().score(PLAIN).item(), abs=1e-6)


def test_the_demo(photograph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(studio, "create_metric", lambda name, **options: given.append(options) or tiny_metric())
    offers = [Offer(name="tiny", metric="tiny", spec=tiny_metric().spec)]
    plain = tiny_metric().score(PLAIN).item()
    assert f"{plain:.4f}" in Studio(offers, icc="ignore").scores([photograph], ["tiny"])
    assert f"{plain:.4f}" not in Studio(offers).scores([photograph], ["tiny"])
    assert [options["icc"] for options in given] == ["ignore", "convert"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_the_command(photograph: Path, run: Command) -> None:
    plain = f"{create_metric('lite_iqa').score(PLAIN).item():.6f}"
    assert plain in run("score", photograph, "--icc", "ignore", "--format", "csv").stdout
    assert plain not in run("score", photograph, "--format", "csv").stdout
    refused = run("score", photograph, "--max-image-pixels", "2000")
    assert refused.returncode == 1
    assert "it has more than 2,000 pixels" in refused.stderr + " ".join(refused.stdout.split())
    assert current_decoding() is DEFAULT_DECODING


def test_a_resumed_run_reads_profiles_as_it_began(photograph: Path, run: Command, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    assert run("score", photograph, "-o", table).returncode == 0
    refused = run("score", photograph, "-o", table, "--resume", "--icc", "ignore")
    assert refused.returncode == 2
    assert "was made with other weights, settings" in refused.stderr


def test_threads_see_the_options_of_whoever_asks() -> None:
    with decoding(IGNORED):
        results = list(run_ahead([[current_decoding]] * 5, workers=2, ahead=2, name="test"))
        decoded = list(decode_ahead([CONTENT, PLAIN], 2))
    assert results == [[IGNORED]] * 5
    assert torch.equal(decoded[0].pixels, decoded[1].pixels)
    assert current_decoding() is DEFAULT_DECODING
    seen = []
    with decoding(IGNORED):
        other = threading.Thread(target=lambda: seen.append(current_decoding()))
        other.start()
        other.join()
    assert seen == [DEFAULT_DECODING]  # threads of others keep theirs


def test_blocks_nest() -> None:
    with decoding(IGNORED):
        with decoding(DEFAULT_DECODING):
            assert current_decoding() is DEFAULT_DECODING
        with decoding(None):
            assert current_decoding() is IGNORED
    assert torch.equal(perceptmetrics.load_image(CONTENT, icc="ignore"), load_image(PLAIN))
