"""The engine on Ray gives what one process gives, row for row and bit for bit, even when its workers are killed."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from perceptmetrics import Metric, create_metric
from perceptmetrics.errors import ClusterError, InvalidOptionError, MissingExtraError
from perceptmetrics.images.batch import window_size
from perceptmetrics.images.sources import Part, find_parts, read_part
from perceptmetrics.integrations.ray import Actors, ScoreColumn, score_parts
from perceptmetrics.scoring.results import ScoredImage
from perceptmetrics.scoring.stream import score_images
from tests.cli.in_process import Command
from tests.sources.test_tar import write_tar
from tests.support.encoded_images import encode, noise

BATCH = 2
LIMITS = {"batch_size": BATCH, "max_pixels": 4_000_000}
METRICS = {"lite_iqa": {"device": "cpu"}}


def on_cluster(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that waits for the processes of Ray."""
    return pytest.mark.slow(pytest.mark.usefixtures("cluster")(test))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=128 * 2**20,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def metric() -> Metric:
    return create_metric("lite_iqa")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A folder, an archive and a table of images of mixed sizes, with something broken in each."""
    folder = tmp_path_factory.mktemp("everything")
    files = {f"{n:03d}.png": encode(noise(32 + 8 * (n % 3), 40, seed=n), "PNG") for n in range(75)}
    files["010.png"] = files["010.png"][:300]
    (folder / "photos").mkdir()
    for name, content in files.items():
        (folder / "photos" / name).write_bytes(content)
    archive = write_tar(folder / "a.tar", dict(list(files.items())[:20]))
    archive.write_bytes(archive.read_bytes()[:-11_000])
    rows = [{"bytes": content, "path": name} for name, content in list(files.items())[5:30]]
    pq.write_table(pa.table({"image": rows}), folder / "a.parquet")
    (folder / "last.png").write_bytes(files["000.png"])
    first = [str(folder / name) for name in ("photos", "a.tar", "a.parquet", "gone.tar")]
    return [*first, f"file://{folder}/photos/00[12].png", str(folder / "last.png")]


def parts_of(paths: list[str]) -> list[Part]:
    return list(find_parts(paths, part_size=2 * window_size(BATCH)))


def locally(metric: Metric, paths: list[str]) -> list[ScoredImage]:
    images = (image for part in parts_of(paths) for image in read_part(part))
    return list(score_images([metric], images, **LIMITS))


@on_cluster
def test_rows_are_those_of_one_process_to_the_last_bit(metric: Metric, paths: list[str]) -> None:
    here = locally(metric, paths)
    there = list(score_parts(METRICS, parts_of(paths), actors=Actors(count=2), **LIMITS))
    assert there == here
    assert [row.window for row in there] == [row.window + 1 for row in here]
    assert sum(row.error is not None for row in here) == 5
    assert len(here) > 110


@on_cluster
def test_a_killed_worker_loses_nothing(metric: Metric, paths: list[str], tmp_path: Path) -> None:
    shutil.copytree(paths[0], tmp_path / "photos")
    for number in range(300):
        os.link(tmp_path / "photos" / f"{number % 10:03d}.png", tmp_path / "photos" / f"more_{number:03d}.png")
    folder = [str(tmp_path / "photos")]
    rows = score_parts(METRICS, parts_of(folder), actors=Actors(count=2), **LIMITS)
    there = [next(rows)]
    victims = worker_processes()
    assert len(victims) == 2
    os.kill(victims[0], signal.SIGKILL)
    there += rows
    assert there == locally(metric, folder)


def worker_processes() -> list[int]:
    """The workers of this process's own cluster; another run of these tests may have workers on this machine too."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::MapWorker") and os.getpid() in ancestors(process):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def ancestors(process: Path) -> Iterator[int]:
    while (parent := int((process / "stat").read_text().rpartition(")")[2].split()[1])) > 0:
        yield parent
        process = process.with_name(str(parent))


@on_cluster
def test_known_images_are_neither_read_nor_scored_again(metric: Metric, paths: list[str]) -> None:
    expected = locally(metric, paths[:2])
    known = {row.name: ScoredImage(row.name, {"lite_iqa": 0.125}) for row in expected[:40] if row.error is None}
    inside = [row.name for row in expected if row.name.startswith(paths[1] + "/")][:3]
    known |= {name: ScoredImage(name, {"lite_iqa": 0.25}) for name in inside}
    rows = list(score_parts(METRICS, parts_of(paths[:2]), actors=Actors(count=1), known=known, **LIMITS))
    assert [row.name for row in rows] == [row.name for row in expected]
    for row, unaided in zip(rows, expected, strict=True):
        if row.name in known:
            assert row == known[row.name]
        else:
            assert row.error == unaided.error
            assert dict(row.scores) == pytest.approx(dict(unaided.scores), abs=1e-5)


@on_cluster
def test_when_all_is_known_nothing_is_started(paths: list[str]) -> None:
    (part,) = find_parts([paths[-1]])
    known = {paths[-1]: ScoredImage(paths[-1], {"nothing": 1.0})}
    assert list(score_parts({"no_such_metric": {}}, [part], known=known)) == list(known.values())


@on_cluster
def test_the_command_writes_the_same_file_and_resumes_it(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capsys)
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    assert command("score", *paths, "-o", here, "--batch-size", "2").returncode == 1
    (tmp_path / "there.csv.partial").write_text('{"columns": ["lite_iqa"]}\n{"name": "torn')
    result = command("score", *paths, "-o", there, "--batch-size", "2", "--engine", "ray", "--actors", "1", "--resume")
    assert result.returncode == 1
    assert "gone.tar does not exist" in result.stderr
    assert there.read_bytes() == here.read_bytes()


@on_cluster
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Ray with pandas 3.1
def test_a_column_of_a_dataset_is_scored(metric: Metric) -> None:
    import ray

    pictures = [encode(noise(40, 48, seed=seed), "PNG") for seed in range(5)] + [b"text"]
    rows = ray.data.from_items([{"bytes": picture, "id": place} for place, picture in enumerate(pictures)])
    scored = rows.map_batches(
        ScoreColumn,
        fn_constructor_args=(METRICS,),
        batch_size=3,
        compute=ray.data.ActorPoolStrategy(size=1),
    ).to_pandas()
    scored = scored.sort_values("id")
    assert scored["lite_iqa"].to_numpy()[:5] == pytest.approx(metric.score(pictures[:5]).numpy(), abs=1e-5)
    assert np.isnan(scored["lite_iqa"].to_numpy()[5])
    assert "is not an image" in scored["error"].to_numpy()[5]
    assert list(scored["error"])[:5] == [""] * 5


@on_cluster
def test_what_was_raised_in_a_worker_is_told(paths: list[str]) -> None:
    with pytest.raises(ClusterError, match=r"could not finish: .*No metric is named 'no_such_metric'"):
        list(score_parts({"no_such_metric": {}}, parts_of(paths[-1:])))


@on_cluster
def test_actors_that_never_fit_are_refused(paths: list[str]) -> None:
    with pytest.raises(ClusterError, match="No actor with 1 processors and 2 GPUs fits"):
        list(score_parts(METRICS, parts_of(paths), actors=Actors(gpus=2)))
    with pytest.raises(ClusterError, match="No actor with 99 processors"):
        list(score_parts(METRICS, parts_of(paths), actors=Actors(cpus=99)))


@pytest.mark.parametrize("numbers", [{"count": 0}, {"cpus": 0}, {"gpus": -0.5}])
def test_impossible_numbers_of_actors_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(InvalidOptionError, match="at least 1 actor"):
        Actors(**numbers)


def test_without_ray_the_extra_is_named(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"perceptmetrics\[ray\]"):
        list(score_parts(METRICS, parts_of(paths)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the settings of Ray itself
def test_settings_of_an_own_cluster_end_with_it(paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data").DataContext.get_current()  # which sets the level of its logger

    def refuse(**_: object) -> None:
        seen.update(os.environ)
        raise ConnectionError("no cluster")

    seen: dict[str, str] = {}
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "mine")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    before, level = dict(os.environ), logging.getLogger("ray.data").level
    with pytest.raises(ClusterError, match="cannot be started or connected to: no cluster"):
        list(score_parts(METRICS, parts_of(paths)))
    assert (seen["RAY_worker_niceness"], seen["RAY_BACKEND_LOG_LEVEL"]) == ("0", "mine")
    assert (dict(os.environ), logging.getLogger("ray.data").level) == (before, level)
