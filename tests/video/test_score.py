"""Scores of a video are those of its frames, and their summary says what it promises."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from perceptmetrics import FrameSampling, create_metric, score_video
from perceptmetrics.errors import InvalidImageError
from perceptmetrics.video.summary import summarise
from tests.cli.in_process import Command
from tests.support.mean_colour_metric import tiny_metric
from tests.video.clips import noise, write


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capsys)


def rows_of(path):
    with Path(path).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_each_frame_scores_as_a_picture_does(tmp_path):
    frames, metric = noise(6), tiny_metric()
    path = write(tmp_path / "clip.mkv", frames)
    scored = score_video(metric, path, sampling=FrameSampling(every=2))
    expected = metric.score(list(frames[::2]))
    assert [frame.number for frame in scored.frames] == [0, 2, 4]
    torch.testing.assert_close(torch.tensor([frame.scores["tiny"] for frame in scored.frames]), expected)
    assert scored.means["tiny"] == pytest.approx(float(expected.mean()))
    assert scored.error is None


def test_batches_do_not_change_scores_and_only_they_are_in_memory(tmp_path, monkeypatch):
    metric = tiny_metric()
    path = write(tmp_path / "clip.mkv", noise(60))
    largest = 0
    plain = metric.score_batch

    def watched(images):
        nonlocal largest
        largest = max(largest, len(images))
        return plain(images)

    one = score_video(metric, path, sampling=FrameSampling(every=1), batch_size=1)
    monkeypatch.setattr(metric, "score_batch", watched)
    several = score_video(metric, path, sampling=FrameSampling(every=1), batch_size=8)
    assert [frame.scores["tiny"] for frame in one.frames] == pytest.approx([f.scores["tiny"] for f in several.frames])
    assert len(one.frames) == 60
    assert largest <= 8


@pytest.mark.parametrize("scenes", [False, True])
def test_a_number_of_frames_is_scored_over_the_whole_video(tmp_path, scenes):
    frames = np.concatenate([noise(30) // 4, 255 - noise(10) // 4])
    path = write(tmp_path / "clip.mkv", frames)
    scored = score_video(tiny_metric(), path, sampling=FrameSampling(frames=8, scenes=scenes))
    late = sum(frame.number >= 30 for frame in scored.frames)
    assert (len(scored.frames), late) == (8, 4 if scenes else 2)


def test_the_frames_before_a_defect_are_kept_and_the_defect_is_named(tmp_path):
    path = write(tmp_path / "clip.mkv", noise(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    scored = score_video(tiny_metric(), path, sampling=FrameSampling(every=1))
    assert 10 < len(scored.frames) < 30
    assert "truncated or corrupt after" in scored.error
    assert scored.summary["tiny"].mean == pytest.approx(np.mean([f.scores["tiny"] for f in scored.frames]))
    path.write_bytes(b"nothing")
    with pytest.raises(InvalidImageError, match="not a readable video"):
        score_video(tiny_metric(), path)


def test_a_summary_is_mean_percentile_and_worst_second():
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 7.9]
    summary = summarise(times, [1.0, 2.0, 0.0, 0.5, 5.0, 6.0])
    assert summary.mean == pytest.approx(14.5 / 6)
    assert summary.percentile_5 == pytest.approx(0.125)  # a quarter of the way from the lowest to the next
    assert (summary.worst_second.start, summary.worst_second.mean) == (1.0, 0.25)
    summary = summarise(times, [1.0, 2.0, 0.0, 0.5, 5.0, 6.0], lower_better=True)
    assert summary.percentile_5 == pytest.approx(5.75)
    assert (summary.worst_second.start, summary.worst_second.mean) == (7.0, 6.0)


def test_the_summary_goes_by_the_direction_of_each_metric(tmp_path):
    path = write(tmp_path / "clip.mkv", noise(30))
    up = score_video(tiny_metric(), path, sampling=FrameSampling(every=1)).summary["tiny"]
    down = score_video(tiny_metric(higher_is_better=False), path, sampling=FrameSampling(every=1)).summary["tiny"]
    assert up.mean == down.mean
    assert up.percentile_5 < up.mean < down.percentile_5
    assert up.worst_second.mean < down.worst_second.mean


def test_a_metric_with_labels_has_a_summary_of_each(tmp_path):
    metric = tiny_metric(labels=("calm", "awe"))
    scored = score_video([metric], write(tmp_path / "clip.mkv", noise(4)), sampling=FrameSampling(frames=2))
    assert scored.columns == tuple(scored.summary) == ("tiny.calm", "tiny.awe")


def test_the_command_writes_a_row_a_video_and_its_frames_and_a_plot(command):
    write("clip.mkv", noise(25, height=96, width=96))
    Path("other").mkdir()
    write("other/clip.mkv", noise(5, height=96, width=96, seed=1))
    broken = write("broken.mkv", noise(40, height=96, width=96))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    ended = command("score", "clip.mkv", "other/*.mkv", "broken.mkv", "--every", 5, "-o", "scores.csv")
    assert ended.returncode == 1
    rows = rows_of("scores.csv")
    assert [row["image"] for row in rows] == ["clip.mkv", "other/clip.mkv", "broken.mkv"]
    frames = rows_of("scores_frames/clip.csv")
    assert [(row["frame"], float(row["seconds"])) for row in frames] == [(str(5 * n), 0.5 * n) for n in range(5)]
    mean = np.mean([float(row["lite_iqa"]) for row in frames])
    assert float(rows[0]["lite_iqa"]) == pytest.approx(mean, abs=2e-6)
    assert "truncated" in rows[2]["error"]
    assert float(rows[2]["lite_iqa"]) > 0  # of the frames before the defect
    assert sorted(path.name for path in Path("scores_frames").iterdir()) == [
        f"{stem}{suffix}" for stem in ("broken", "clip-2", "clip") for suffix in (".csv", ".png", ".summary.csv")
    ]
    assert Path("scores_frames/clip.png").read_bytes().startswith(b"\x89PNG")
    assert rows_of("scores_frames/clip.summary.csv")[0]["frames"] == "5"


def test_videos_go_beside_images_and_options_for_them_need_one(command):
    write("clip.mkv", noise(12, height=96, width=96))
    from PIL import Image

    Image.fromarray(noise(1, height=96, width=96)[0]).save("photo.png")
    shown = command("score", "clip.mkv", "photo.png", "--format", "csv")
    assert shown.returncode == 0
    assert [line.split(",")[0] for line in shown.stdout.split()] == ["image", "photo.png", "clip.mkv"]
    assert not list(Path.cwd().glob("*_frames"))
    refused = command("score", "photo.png", "--fps", "2")
    assert refused.returncode == 2
    assert "need a video; none is given" in refused.stderr
    known = create_metric("lite_iqa").score("photo.png")
    assert f"photo.png,{float(known[0]):.6f}" in shown.stdout
