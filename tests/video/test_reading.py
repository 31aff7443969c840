"""Decoded frames are the ones that were encoded, at their times, the right way up and in the right colours."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from perceptmetrics.errors import InvalidImageError
from perceptmetrics.video import read_frames
from perceptmetrics.video.reading import frame_times
from tests.video.clips import noise, to_yuv, turn, write

LOSSLESS = {"qp": "0"}


def all_frames(path):
    return list(read_frames(path, lambda number, time: True))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "options"),
    [
        ("clip.mkv", "ffv1", "bgr0", {}),
        ("clip.mov", "png", "rgb24", {}),
        ("clip.mp4", "libx264rgb", "rgb24", {"qp": "0"}),
    ],
)
def test_lossless_frames_come_back_to_the_bit(tmp_path, name, codec, pixel_format, options):
    frames = noise(7)
    path = write(tmp_path / name, frames, codec=codec, pixel_format=pixel_format, options=options)
    decoded = all_frames(path)
    assert [frame.number for frame in decoded] == list(range(7))
    assert [frame.time for frame in decoded] == pytest.approx([0.1 * number for number in range(7)])
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in decoded]), frames)


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((0, -1, 1, 0), lambda x: np.rot90(x, 1)),
        ((1, 0, 0, 1), lambda x: x),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda x: x.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda x: np.rot90(x.transpose(1, 0, 2), 2)),
        ((0.2, 0.97, -0.97, 0.2), lambda x: np.rot90(x, -1)),
        ((0, 0, 0, 0), lambda x: x),
    ],
    ids=[
        *("clockwise", "upside down", "against the clock", "upright"),
        *("mirrored left to right", "mirrored top to bottom", "transposed", "transposed about the other diagonal"),
        *("nearly clockwise", "nothing"),
    ],
)
def test_frames_are_turned_and_mirrored_as_the_file_states(tmp_path, matrix, turned):
    # x' = a x + c y, y' = b x + d y with y downwards: (0, 1, -1, 0) takes the right side to the bottom.
    frames = noise(2)
    path = write(tmp_path / "clip.mp4", frames, codec="libx264rgb", pixel_format="rgb24", options={"qp": "0"})
    turn(path, matrix)
    np.testing.assert_array_equal(all_frames(path)[1].pixels, turned(frames[1]))


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        (Fraction(2), (48, 128)),
        (Fraction(16, 15), (48, 68)),
        (Fraction(8, 9), (54, 64)),
        (Fraction(1, 2), (96, 64)),
        (Fraction(1), (48, 64)),
        (Fraction(999, 1000), (48, 64)),
    ],
)
@pytest.mark.parametrize("codec", [("libx264rgb", "rgb24"), ("libx264", "yuv444p10le")], ids=["8 bits", "10 bits"])
def test_pixels_are_made_square_by_enlarging(tmp_path, aspect, shape, codec):
    frames = noise(2)
    path = write(tmp_path / "clip.mkv", frames, codec=codec[0], pixel_format=codec[1], aspect=aspect, options=LOSSLESS)
    pixels = all_frames(path)[1].pixels
    assert pixels.shape == (*shape, 3)
    scale = 257 if pixels.dtype == np.uint16 else 1
    small = Image.fromarray((pixels / scale).round().astype(np.uint8)).resize((64, 48), Image.Resampling.BOX)
    difference = np.abs(np.asarray(small).astype(int) - frames[1])
    assert difference.mean() < (1 if shape == (48, 64) else 8)


def test_the_shape_of_pixels_is_corrected_before_a_frame_is_turned(tmp_path):
    path = write(tmp_path / "clip.mp4", noise(2), codec="libx264rgb", pixel_format="rgb24", aspect=Fraction(2))
    turn(path, (0, 1, -1, 0))
    assert all_frames(path)[0].pixels.shape == (128, 48, 3)


@pytest.mark.parametrize("aspect", [Fraction(20), Fraction(1, 20)])
def test_pixels_of_no_likely_shape_are_refused(tmp_path, aspect):
    path = write(tmp_path / "clip.mkv", noise(2), codec="libx264rgb", pixel_format="rgb24", aspect=aspect)
    with pytest.raises(InvalidImageError, match="times as wide as high"):
        all_frames(path)


# Numbers of H.273 (matrix coefficients) and of FFmpeg (range); red and blue weights of the recommendations.
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(("matrix", "red", "blue"), [(5, 0.299, 0.114), (1, 0.2126, 0.0722)], ids=["601", "709"])
def test_colours_follow_the_matrix_and_the_range_that_are_stated(tmp_path, matrix, red, blue, full):
    rgb = noise(1)[0]
    path = write(
        tmp_path / "clip.mkv",
        [to_yuv(rgb, red, blue, full=full)],
        pixel_format="yuv444p",
        colour=(matrix, 2 if full else 1),
    )
    difference = np.abs(all_frames(path)[0].pixels.astype(int) - rgb)
    assert difference.max() <= 4
    assert difference.mean() < 1


@pytest.mark.parametrize(("height", "red", "blue"), [(48, 0.299, 0.114), (720, 0.2126, 0.0722)])
def test_without_a_stated_matrix_the_resolution_tells(tmp_path, height, red, blue):
    rgb = noise(1, height=height)[0]
    path = write(tmp_path / "clip.mkv", [to_yuv(rgb, red, blue, full=False)], pixel_format="yuv444p", colour=(2, 1))
    assert np.abs(all_frames(path)[0].pixels.astype(int) - rgb).mean() < 1


def test_time_stamps_are_kept_when_the_rate_varies(tmp_path):
    times = [0.0, 0.04, 0.5, 0.51, 2.0, 2.7]
    path = write(tmp_path / "clip.mkv", noise(6), times=times)
    assert [frame.time for frame in all_frames(path)] == pytest.approx(times, abs=1e-3)
    assert frame_times(path) == pytest.approx(times, abs=1e-3)


def test_frames_come_in_order_of_time_however_they_are_stored(tmp_path):
    frames = noise(12, height=96, width=96)
    path = write(tmp_path / "clip.mp4", frames, codec="libx264", pixel_format="yuv444p", options={"bf": "3", "qp": "0"})
    decoded = all_frames(path)
    assert [frame.time for frame in decoded] == pytest.approx([0.1 * number for number in range(12)])
    assert all(
        np.abs(frame.pixels.astype(int) - original).mean() < 2 for frame, original in zip(decoded, frames, strict=True)
    )


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi"])
def test_frames_before_the_end_of_a_truncated_file_are_given_and_then_an_error(tmp_path, name):
    frames = noise(40)
    path = write(tmp_path / name, frames)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    decoded = []
    with pytest.raises(InvalidImageError, match=r"truncated|corrupt"):
        iter_into(decoded, path)
    assert 10 < len(decoded) < 30
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in decoded]), frames[: len(decoded)])


@pytest.mark.parametrize("corrupt", [6, 10, 15])
@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "libx264"), ("clip.mp4", "mpeg4")])
def test_frames_before_a_corrupt_one_are_given_and_then_an_error(tmp_path, name, codec, corrupt):
    """The beginning of a packet is erased: no decoder can take it for a picture, whatever the encoder made of it."""
    path = write(tmp_path / name, noise(20), codec=codec, pixel_format="yuv420p")
    whole = all_frames(path)
    content = path.read_bytes()
    with av.open(str(path)) as container:
        packet = bytes([*container.demux(video=0)][corrupt])
    assert content.count(packet) == 1
    erased = min(len(packet), 400)
    path.write_bytes(content.replace(packet, bytes(erased) + packet[erased:]))
    decoded = []
    with pytest.raises(InvalidImageError, match="corrupt after"):
        iter_into(decoded, path)
    assert corrupt - 5 < len(decoded) <= corrupt  # frames that wait for their turn may be lost with it
    for frame in decoded:
        np.testing.assert_array_equal(frame.pixels, whole[frame.number].pixels)


def iter_into(decoded, path):
    for frame in read_frames(path, lambda number, time: True):
        decoded.append(frame)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable video: Invalid data found when processing input.$"),
        (b"no video" * 999, "not a readable video: Invalid data found when processing input.$"),
        (None, "does not exist"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, content, message):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidImageError, match=message):
        all_frames(path)


def test_a_codec_without_a_decoder_is_refused(tmp_path):
    path = write(tmp_path / "clip.mp4", noise(2), codec="libx264", pixel_format="yuv420p")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(InvalidImageError, match="no decoder for its codec"):
        all_frames(path)
