"""Score videos: sample frames, score them in bounded memory and summarise over time; knows nothing of reports."""

from __future__ import annotations

from perceptmetrics.video.reading import VIDEO_SUFFIXES, SampledFrame, is_video, read_frames
from perceptmetrics.video.sampling import FrameSampling
from perceptmetrics.video.scenes import SCENE_CUT, scene_starts
from perceptmetrics.video.score import score_video
from perceptmetrics.video.summary import FrameScores, VideoScores, VideoSummary, WorstSecond

__all__ = [
    "SCENE_CUT",
    "VIDEO_SUFFIXES",
    "FrameSampling",
    "FrameScores",
    "SampledFrame",
    "VideoScores",
    "VideoSummary",
    "WorstSecond",
    "is_video",
    "read_frames",
    "scene_starts",
    "score_video",
]
