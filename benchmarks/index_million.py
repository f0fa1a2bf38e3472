"""A million image names: parse, index and assign to classes and groups, against a plain loop in the same run.

    python benchmarks/index_million.py                  # names from a list: nothing is written to disk
    python benchmarks/index_million.py --on-disk        # also walks a folder of as many empty files

The plain loop does per image what CosPlace does: split the name, three numbers, floor them to a class and a
group, and collect images by class and classes by group. Both sides must agree, or the script stops.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from vgsearch.config.trial import CellsConfig
from vgsearch.data.cells import CellGroup, all_groups
from vgsearch.data.index import ImageIndex, index_folder, index_listing
from vgsearch.data.listing import Listing
from vgsearch.data.names import parse_names

Key = tuple[int, int, int]
Result = TypeVar("Result")


def city_names(num_images: int) -> list[str]:
    """Names of a city of 10 images a cell on average, twelve headings, in folders as SF-XL has them."""
    draw = np.random.default_rng(0)
    side_m = (num_images / 120) ** 0.5 * 10
    east = 543_000 + draw.uniform(0, side_m, num_images)
    north = 4_173_000 + draw.uniform(0, side_m, num_images)
    heading = draw.integers(0, 360, num_images)
    rows = zip(east.tolist(), north.tolist(), heading.tolist(), strict=True)
    return [
        f"37.{i % 50:02d}/@{e:010.2f}@{n:010.2f}@10@S@037.77100@-122.41000@{i:022d}@@{h:03d}@@@@201311@@.jpg"
        for i, (e, n, h) in enumerate(rows)
    ]


def plain_loop(paths: list[str], cells: CellsConfig) -> list[dict[Key, list[str]]]:
    """Every image on its own: a list of groups, each class -> paths."""
    metres, degrees = cells.cell_m, cells.heading_deg
    labelled: list[tuple[Key, Key]] = []
    images: dict[Key, list[str]] = defaultdict(list)
    for path in sorted(paths):
        fields = path.split("@")
        east, north, heading = float(fields[1]), float(fields[2]), float(fields[9])
        key = (int(east // metres * metres), int(north // metres * metres), int(heading // degrees * degrees))
        group = (
            key[0] % (metres * cells.groups_across) // metres,
            key[1] % (metres * cells.groups_across) // metres,
            key[2] % (degrees * cells.groups_heading) // degrees,
        )
        labelled.append((key, group))
        images[key].append(path)
    groups: dict[Key, dict[Key, list[str]]] = defaultdict(dict)
    for key, group in labelled:
        if len(images[key]) >= cells.min_images:
            groups[group][key] = images[key]
    return list(groups.values())


def index_names(paths: list[str]) -> ImageIndex:
    """What `index_folder` does after its walk, without its cache."""
    ordered = tuple(sorted(paths))
    names = parse_names(ordered)
    nothing = np.zeros(len(ordered), np.int64)
    listing = Listing(ordered, nothing, nothing)
    table = np.stack([names.utm_east, names.utm_north, names.heading_deg])
    return index_listing(Path("/nowhere"), listing, table, listing.fingerprint())


def check_agreement(index: ImageIndex, groups: list[CellGroup], plain: list[dict[Key, list[str]]]) -> None:
    """Same groups in the same order, same classes, same images in the same order."""
    if [group.num_classes for group in groups] != [len(classes) for classes in plain]:
        raise SystemExit("the plain loop found other groups")
    for group, classes in zip(groups, plain, strict=True):
        for k, (key, paths) in enumerate(classes.items()):
            found = [index.paths[i] for i in group.images_of(k).tolist()]
            if tuple(group.class_keys[k].tolist()) != key or found != paths:
                raise SystemExit(f"the plain loop found another class at {key}")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds and result of one call."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def walk(names: list[str]) -> None:
    """Make the files, then index them twice: without and with the table in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache_dir = Path(folder) / "images", Path(folder) / "cache"
        for part in {name.partition("/")[0] for name in names}:
            (root / part).mkdir(parents=True)
        begin = time.perf_counter()
        for name in names:
            (root / name).touch()
        seconds = time.perf_counter() - begin
        print(f"on disk: {len(names):,} empty files made in {seconds:.1f} s")
        for state in ("no table in the cache", "table in the cache"):
            seconds, _ = timed(lambda: index_folder(root, cache_dir=cache_dir))
            print(f"on disk: walk, sizes and index, {state:<21} {seconds:7.2f} s")


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many counts, for both sides")
    parser.add_argument("--on-disk", action="store_true", help="also make and walk a folder of empty files")
    options = parser.parse_args()
    cells = CellsConfig()
    names = city_names(options.images)
    print(f"{len(names):,} names from a list, e.g. {names[0]}")
    parse_s = min(timed(lambda: parse_names(names))[0] for _ in range(options.repeats))
    index_s = min(timed(lambda: index_names(names))[0] for _ in range(options.repeats))
    index = index_names(names)
    groups_s = min(timed(lambda: all_groups(index, cells))[0] for _ in range(options.repeats))
    groups = all_groups(index, cells)
    loop_s, plain = min(
        (timed(lambda: plain_loop(names, cells)) for _ in range(options.repeats)), key=lambda run: run[0]
    )
    check_agreement(index, groups, plain)
    num_classes = sum(group.num_classes for group in groups)
    print(f"parse alone                              {parse_s:7.2f} s")
    print(f"sort + parse + fingerprint               {index_s:7.2f} s")
    print(
        f"classes and groups                       {groups_s:7.2f} s   {num_classes:,}, {len(groups)} groups"
    )
    print(f"index and assign                         {index_s + groups_s:7.2f} s")
    print(f"plain loop, no fingerprint               {loop_s:7.2f} s   {loop_s / (index_s + groups_s):.1f}x")
    print("classes, groups, images and their order agree")
    if options.on_disk:
        walk(names)


if __name__ == "__main__":
    main()
