"""Small copies of data sets in their official layouts, with generated images and known labels.

Each builder writes a folder and returns what a reader must find there. Image number k of a data set with ratings is the
better (or more memorable) the larger k, whatever the direction of the official labels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from PIL import Image
from scipy.io import savemat

from perceptmetrics.functional.preference import bradley_terry

COUNT = 12


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is in a folder.

    Attributes:
        name: Name of the data set.
        root: The folder.
        labels: The file of labels, to be corrupted.
        files: Image file of each name; None where images are no files.
        shares: Normalised rating of each image, or name of its class.
        groups: Group of each image, or None.
        splits: Names in train, validation and test of each published split.
        options: Options to load it with.
    """

    name: str
    root: Path
    labels: Path
    files: dict[str, Path] | None
    shares: dict[str, float] | dict[str, str]
    groups: dict[str, str] | None = None
    splits: tuple[tuple[set[str], set[str], set[str]], ...] = ()
    options: dict[str, object] | None = None


def picture(path: Path, number: int) -> Path:
    """Write an image whose file differs from that of every other number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (6 + number % 3, 4), (number % 256, number // 256, 9))
    if path.suffix.lower() in (".jpg", ".jpeg"):
        image.save(path, comment=f"picture {number}")
    else:
        image.save(path)
    return path


def table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def lines(path: Path, *text: str) -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def shares_of(names: Sequence[str]) -> dict[str, float]:
    """Evenly from 0 to 1."""
    return dict(zip(names, np.linspace(0, 1, len(names)).tolist(), strict=True))


def livec(root: Path) -> Expected:
    data = root / "ChallengeDB_release" / "Data"
    data.mkdir(parents=True)
    training = [f"t{number}.bmp" for number in range(1, 8)]
    names = [f"{number}.{'bmp' if number % 2 else 'JPG'}" for number in range(COUNT)]
    shares = shares_of(names)
    cells = np.array([*training, *names], dtype=object)[:, None]
    savemat(data / "AllImages_release.mat", {"AllImages_release": cells})
    mos = [50.0] * 7 + [100 * shares[name] for name in names]
    savemat(data / "AllMOS_release.mat", {"AllMOS_release": np.array([mos])})
    files = {name: picture(data.parent / "Images" / name, number) for number, name in enumerate(names)}
    for number, name in enumerate(training):
        picture(data.parent / "Images" / "trainingImages" / name, 100 + number)
    return Expected(name="livec", root=root, labels=data / "AllMOS_release.mat", files=files, shares=shares)


def koniq10k(root: Path) -> Expected:
    names = [f"1000{number}.jpg" for number in range(COUNT)]
    shares = shares_of(names)
    header = ["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "MOS_zscore"]
    rows = [[name, 1, 2, 3, 4, 5, 15, 1 + 4 * shares[name], 0.5, 100 * shares[name]] for name in names]
    labels = table(root / "koniq10k_scores_and_distributions.csv", [header, *rows])
    files = {name: picture(root / "512x384" / name, number) for number, name in enumerate(names)}
    return Expected(name="koniq10k", root=root, labels=labels, files=files, shares=shares)


def koniq10k_sets(root: Path) -> Expected:
    names = [f"1000{number}.jpg" for number in range(COUNT)]
    shares = shares_of(names)
    parts = ["training", "training", "validation", "test"] * 3
    rows = [[name, 0.2, 100 * shares[name], 10, part] for name, part in zip(names, parts, strict=True)]
    labels = table(root / "koniq10k_distributions_sets.csv", [["image_name", "c1", "MOS", "SD", "set"], *rows])
    files = {name: picture(root / "koniq10k_1024x768" / name, number) for number, name in enumerate(names)}
    members = tuple(
        {name for name, part in zip(names, parts, strict=True) if part == wanted}
        for wanted in ("training", "validation", "test")
    )
    return Expected(
        name="koniq10k",
        root=root,
        labels=labels,
        files=files,
        shares=shares,
        splits=((members[0], members[1], members[2]),),
        options={"official_split": True},
    )


def workbook(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """Write an .xlsx workbook with the rows in its first sheet, and something else in its second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    for row in rows:
        book.active.append(list(row))
    book.create_sheet("notes").append(["Image name", "MOS"])
    book.save(path)
    return path


def spaq(root: Path) -> Expected:
    names = [f"{number:05}.jpg" for number in range(1, COUNT + 1)]
    shares = shares_of(names)
    header = ["Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]
    rows = [[name, 100 * shares[name], 50.0, 40, 30, 20, 10.5] for name in names]
    labels = workbook(root / "Annotations" / "MOS and Image attribute scores.xlsx", [header, *rows])
    files = {name: picture(root / "TestImage" / name, number) for number, name in enumerate(names)}
    return Expected(name="spaq", root=root, labels=labels, files=files, shares=shares)


def flive(root: Path) -> Expected:
    names = [f"{'voc_emotic_ava' if number % 2 else 'blur_dataset'}/{number}.jpg" for number in range(COUNT)]
    shares = shares_of(names)
    labels = table(
        root / "labels_image.csv", [["name", "mos", "zscores"], *([name, 100 * shares[name], 0] for name in names)]
    )
    tested, valid = set(names[:2]), set(names[2:5])
    table(root / "labels>640.csv", [["name_image", "mos_image"], *([name, 1] for name in sorted(tested))])
    smaller = [[name, name in valid] for name in names[2:]]
    table(root / "labels=640_padded.csv", [["name_image", "is_valid"], *smaller])
    files = {name: picture(root / "database" / name, number) for number, name in enumerate(names)}
    splits = ((set(names[5:]), valid, tested),)
    return Expected(name="flive", root=root, labels=labels, files=files, shares=shares, splits=splits)


def flive_without_lists(root: Path) -> Expected:
    made = flive(root)
    (root / "labels>640.csv").unlink()
    (root / "database").rename(root / "elsewhere")
    for folder in ("voc_emotic_ava", "blur_dataset"):
        (root / "elsewhere" / folder).rename(root / folder)
    files = {name: root / name for name in made.shares}
    return Expected(name="flive", root=root, labels=made.labels, files=files, shares=made.shares)


def live(root: Path) -> Expected:
    return _live(root, "dmos.mat", "dmos", 0, 100)


def live_realigned(root: Path) -> Expected:
    return _live(root / "databaserelease2", "dmos_realigned.mat", "dmos_new", -2.5, 111.5)


def _live(root: Path, file: str, variable: str, lower: float, upper: float) -> Expected:
    root.mkdir(parents=True, exist_ok=True)
    counts = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
    everything = [f"{folder}/img{number}.bmp" for folder, count in counts.items() for number in range(1, count + 1)]
    is_reference = np.arange(982) % 29 >= 23
    is_reference[[0, 29, 58]] = True  # 203 in all, so that 779 distorted ones remain
    names = [name for name, reference in zip(everything, is_reference, strict=True) if not reference]
    shares = shares_of(names)
    dmos = [upper - (upper - lower) * shares[name] if name in shares else 0 for name in everything]
    references = [f"ref{number % 29}.bmp" for number in range(982)]
    savemat(root / file, {variable: np.array([dmos]), "orgs": is_reference[None].astype(np.uint8)})
    savemat(root / "refnames_all.mat", {"refnames_all": np.array([references], dtype=object)})
    files = {name: picture(root / name, number) for number, name in enumerate(everything) if name in shares}
    groups = {name: references[number] for number, name in enumerate(everything) if name in shares}
    top = root.parent if root.name == "databaserelease2" else root
    return Expected(name="live", root=top, labels=root / file, files=files, shares=shares, groups=groups)


def tid2013(root: Path) -> Expected:
    names = [f"I{number:02}_01_{level}.bmp" for number in range(1, 7) for level in (1, 2)]
    shares = shares_of(names)
    labels = lines(root / "tid2013" / "mos_with_names.txt", *(f"{9 * shares[name]:.5f} {name}" for name in names))
    folder = labels.parent / "distorted_images"
    files = {name: picture(folder / name.lower().replace("bmp", "BMP"), number) for number, name in enumerate(names)}
    groups = {name: name[:3] for name in names}
    return Expected(name="tid2013", root=root, labels=labels, files=files, shares=shares, groups=groups)


def kadid10k(root: Path) -> Expected:
    names = [f"I{number:02}_01_0{level}.png" for number in range(1, 7) for level in (1, 2)]
    shares = shares_of(names)
    rows = [[name, f"{name[:3]}.png", 1 + 4 * shares[name], 0.7] for name in names]
    labels = table(root / "kadid10k" / "dmos.csv", [["dist_img", "ref_img", "dmos", "var"], *rows])
    files = {name: picture(labels.parent / "images" / name, number) for number, name in enumerate(names)}
    groups = {name: f"{name[:3]}.png" for name in names}
    return Expected(name="kadid10k", root=root, labels=labels, files=files, shares=shares, groups=groups)


def lamem(root: Path) -> Expected:
    names = [f"{number:08}.jpg" for number in range(1, COUNT + 1)]
    shares = shares_of(names)
    folder = root / "lamem" / "splits"
    splits = []
    for number in range(5):
        order = np.random.default_rng(number).permutation(names).tolist()
        parts = {"train": order[:8], "val": order[8:9], "test": order[9:]}
        for part, members in parts.items():
            lines(folder / f"{part}_{number + 1}.txt", *(f"{name} {shares[name]:.6f}" for name in members))
        splits.append((set(parts["train"]), set(parts["val"]), set(parts["test"])))
    files = {name: picture(root / "lamem" / "images" / name, number) for number, name in enumerate(names)}
    labels = folder / "train_1.txt"
    return Expected(name="lamem", root=root, labels=labels, files=files, shares=shares, splits=tuple(splits))


def things(root: Path) -> Expected:
    names = [f"aardvark/aardvark_{number:02}b.jpg" for number in range(COUNT)]
    shares = shares_of(names)
    rows = [[number, f"images/{name}", Path(name).name, shares[name]] for number, name in enumerate(names)]
    header = ["image_nr", "file_path", "image_name", "cr"]
    labels = table(root / "THINGS_Memorability_Scores.csv", [header, *rows])
    files = {name: picture(root / "object_images" / name, number) for number, name in enumerate(names)}
    return Expected(name="things", root=root, labels=labels, files=files, shares=shares)


def sun(root: Path) -> Expected:
    data = root / "Data"
    for folder in ("Image data", "Experiment data", "Random splits"):
        (data / folder).mkdir(parents=True)
    names = [f"{number:04} sun_{number}_crop.jpg" for number in range(1, COUNT + 1)]
    shares = shares_of(names)
    entries = np.empty(COUNT, dtype=object)
    for place, name in enumerate(names):
        hits = 11 * place
        entries[place] = {"filepath": f"images\\{name[5:]}", "hits": hits, "misses": 121 - hits, "false_alarms": 1}
    savemat(data / "Experiment data" / "sorted_target_data.mat", {"sorted_target_data": entries})
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3, COUNT), dtype=np.uint8)
    savemat(data / "Image data" / "target_images.mat", {"img": pixels})
    orders = np.stack([np.random.default_rng(number).permutation(COUNT) for number in range(25)]) + 1
    for part, table_of_part in (("train", orders[:, :6]), ("test", orders[:, 6:11])):
        savemat(data / "Random splits" / f"image_{part}_indices.mat", {f"image_{part}_indices": table_of_part})
    splits = tuple(
        ({names[place - 1] for place in order[:6]}, set[str](), {names[place - 1] for place in order[6:11]})
        for order in orders
    )
    labels = data / "Experiment data" / "sorted_target_data.mat"
    return Expected(name="sun", root=root, labels=labels, files=None, shares=shares, splits=splits)


MIKELS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")


def emoset(root: Path) -> Expected:
    names, classes, parts = [], {}, {"train": [], "val": [], "test": []}
    for emotion in sorted(MIKELS):
        for number, part in enumerate(("train", "train", "val", "test")):
            name = f"{emotion}/{emotion}_{number:05}.jpg"
            names.append(name)
            classes[name] = emotion
            identifier = [f"{emotion}_{number:05}"] if part == "test" else []
            parts[part].append([emotion, *identifier, f"image/{name}", f"annotation/{name[:-3]}json"])
    for part, entries in parts.items():
        lines(root / "EmoSet-118K" / f"{part}.json", json.dumps(entries))
    folder = root / "EmoSet-118K"
    files = {name: picture(folder / "image" / name, number) for number, name in enumerate(names)}
    members = [{entry[-2].removeprefix("image/") for entry in parts[part]} for part in ("train", "val", "test")]
    splits = ((members[0], members[1], members[2]),)
    labels = folder / "val.json"
    return Expected(name="emoset", root=root, labels=labels, files=files, shares=classes, splits=splits)


def emotionroi(root: Path) -> Expected:
    made = emotionroi_official(root)
    return Expected(name="emotionroi", root=root, labels=made.labels, files=made.files, shares=made.shares)


def emotionroi_official(root: Path) -> Expected:
    emotions = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
    names = [f"{emotion}/{number}.jpg" for emotion in emotions for number in range(1, 11)]
    training = [name for name in names if int(name.partition("/")[2][:-4]) <= 7]
    testing = [name for name in names if name not in training]
    folder = root / "training_testing_split"
    lines(folder / "training.txt", *training)
    labels = lines(folder / "testing.txt", *testing)
    files = {name: picture(root / "images" / name, number) for number, name in enumerate(names)}
    return Expected(
        name="emotionroi",
        root=root,
        labels=labels,
        files=files,
        shares={name: name.partition("/")[0] for name in names},
        splits=((set(training), set(), set(testing)),),
        options={"official_split": True},
    )


def ava(root: Path) -> Expected:
    names = [str(953000 + number) for number in range(10)]
    votes = [[0] * place + [20] + [0] * (9 - place) for place in range(10)]
    text = [
        f"{number} {name} {' '.join(map(str, counts))} 1 22 1396"
        for number, (name, counts) in enumerate(zip(names, votes, strict=True), start=1)
    ]
    labels = lines(root / "AVA.txt", *text)
    lines(root / "aesthetics_image_lists" / "generic_ls_train.jpgl", *names[:6], "1")
    lines(root / "aesthetics_image_lists" / "generic_test.jpgl", *names[7:])
    files = {name: picture(root / "images" / f"{name}.jpg", number) for number, name in enumerate(names)}
    splits = ((set(names[:6]), set[str](), set(names[7:])),)
    return Expected(name="ava", root=root, labels=labels, files=files, shares=shares_of(names), splits=splits)


def csv_file(root: Path) -> Expected:
    names = [f"in/{number}.png" for number in range(COUNT)]
    shares = shares_of(names)
    rows = [[name, 5 - 4 * shares[name], f"scene {place // 2}"] for place, name in enumerate(names)]
    labels = table(root / "labels.csv", [["image", "annoyance", "scene"], *rows])
    files = {name: picture(root / name, number) for number, name in enumerate(names)}
    return Expected(
        name="csv",
        root=root,
        labels=labels,
        files=files,
        shares=shares,
        groups={name: f"scene {place // 2}" for place, name in enumerate(names)},
        options={"lower": 1, "upper": 5, "lower_is_better": True, "group_column": "scene"},
    )


def choices(root: Path) -> Expected:
    names = [f"in/{number}.png" for number in range(COUNT)]
    pairs = [(one, other) for one in range(COUNT) for other in range(one)]
    rows = [[names[one], names[other], "a"] for one, other in pairs]
    rates = bradley_terry(*zip(*pairs, strict=True), [1] * len(pairs), COUNT).win_rate
    return Expected(
        name="choices",
        root=root,
        labels=table(root / "labels.csv", [["image_a", "image_b", "winner"], *rows]),
        files={name: picture(root / name, number) for number, name in enumerate(names)},
        shares=dict(zip(names, rates.tolist(), strict=True)),
    )


def label_studio(root: Path) -> Expected:
    names = [f"in/{number}.png" for number in range(COUNT)]
    shares = shares_of(names)
    tasks = [
        {
            "data": {"image": f"/data/local-files/?d={name}"},
            "annotations": [
                {"completed_by": who, "result": [{"from_name": "q", "value": {"rating": 1 + 4 * shares[name] + off}}]}
                for who, off in ((1, -0.5), (2, 0.5))
            ],
        }
        for name in names
    ]
    files = {name: picture(root / name, number) for number, name in enumerate(names)}
    (root / "export.json").write_text(json.dumps(tasks))
    return Expected(
        name="label_studio",
        root=root,
        labels=root / "export.json",
        files=files,
        shares=shares,
        options={"lower": 1, "upper": 5},
    )


def ladders(root: Path) -> Expected:
    photographs = [f"in/{number}.jpg" for number in range(COUNT)]
    for number, name in enumerate(photographs):
        picture(root / name, number)
    ladder_of = {
        f"{name}/{ladder}/{rung}": f"{name}/{ladder}"
        for name in photographs
        for ladder in ("crop/noise", "small/noise")
        for rung in range(6)
    }
    return Expected(
        name="ladders",
        root=root,
        labels=root / "in",
        files=None,
        shares={name: (1, 0.5, 0.375, 0.25, 0.125, 0)[int(name[-1])] for name in ladder_of},
        groups=ladder_of,
        options={"kinds": ["noise"], "showings": ["crop"], "protocols": ["small"]},
    )


def livec_ladders(root: Path) -> Expected:
    rated = livec(root)
    rungs = {f"{name}/whole/over/{rung}": f"{name}/whole/over" for name in rated.shares for rung in range(6)}
    return Expected(
        name="livec_ladders",
        root=root,
        labels=rated.labels,
        files=None,
        shares={name: (1, 0.5, 0.375, 0.25, 0.125, 0)[int(name[-1])] for name in rungs},
        groups=rungs,
        options={"kinds": ["over"]},
    )


BUILDERS: tuple[Callable[[Path], Expected], ...] = (
    livec,
    koniq10k,
    koniq10k_sets,
    spaq,
    flive,
    flive_without_lists,
    live,
    live_realigned,
    tid2013,
    kadid10k,
    lamem,
    things,
    sun,
    emoset,
    emotionroi,
    emotionroi_official,
    ava,
    ladders,
    livec_ladders,
    csv_file,
    choices,
    label_studio,
)
