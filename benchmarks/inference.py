"""Time the denoiser in every form beside its plain one; its memory; and what a smaller halo costs.

    python benchmarks/inference.py speed --side 512 --threads 1 2
    python benchmarks/inference.py speed --forms plain float32 --clock processor
    python benchmarks/inference.py memory --megapixels 4 16 64 256 --width 2 --max-memory 256M
    python benchmarks/inference.py files --megapixels 4 16 64 --width 2 --max-memory 256M
    python benchmarks/inference.py halo picture.png
    python benchmarks/inference.py precision data/nam25 --dtype bfloat16
    python benchmarks/inference.py sample --side 256
    python benchmarks/inference.py start --side 512
    python benchmarks/inference.py process --megapixels 12

The plain form is the network in float32, in the usual memory layout, on the whole picture.  Each
form runs in a process of its own, which also multiplies matrices, so that the share of the
machine's own rate is of the same minutes; the forms run in turn, and the figures are the medians of
the rounds.  A share above 1 comes from algorithms that need fewer
operations than are counted: 2 for each weight that a pixel meets.  With --clock processor, the
time of all threads is taken, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from danet import Denoiser, NoiseGenerator
from danet.bench import benchmark_pairs
from danet.cli import main as main_of_danet
from danet.cli.console import at_least
from danet.data import scaled
from danet.devices import hardware, usable_device
from danet.images import read_image
from danet.inference import engine
from danet.inference.memory import read_size
from danet.metrics import psnr
from danet.networks import build
from danet.pretrained import ExportedDenoiser

FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "float32": {"dtype": "float32"},
    "auto": {},
    "bfloat16": {"dtype": "bfloat16"},
    "compile": {"dtype": "float32", "compile": True},
    "compile bfloat16": {"dtype": "bfloat16", "compile": True},
    "openvino": {"dtype": "float32", "runtime": "openvino"},
    "openvino bfloat16": {"dtype": "bfloat16", "runtime": "openvino"},
}
# Whole processes: what they are told beside the files to read and to write.
PROCESSES: dict[str, list[str]] = {
    "`photo`": ["--runtime", "torch"],
    "`photo`, OpenVINO": ["--runtime", "openvino"],
    "`photo-fast`": ["--runtime", "torch", "--weights", "photo-fast"],
    "`photo-fast`, OpenVINO": ["--runtime", "openvino", "--weights", "photo-fast"],
}
PLAIN = """
import sys
import numpy as np
import torch
from PIL import Image
from danet import Denoiser

network = Denoiser("photo", device="cpu").network.eval()
pixels = torch.from_numpy(np.array(Image.open(sys.argv[1])))
noisy = pixels.permute(2, 0, 1)[None].float().contiguous() / 255
with torch.inference_mode():
    clean = network(noisy).clamp(0, 1)
pixels = (255 * clean[0]).round().byte().permute(1, 2, 0)
Image.fromarray(pixels.numpy()).save(sys.argv[2])
"""
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def operations_per_pixel(network: nn.Module) -> float:
    """Multiplications and additions of the convolutions, counted separately."""
    counted = 0.0

    def count(layer: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal counted
        # A transposed convolution of stride 2 uses each weight once for each input pixel.
        pixels = (inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output).shape[-2:]
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        counted += 2 * weight.numel() * pixels.numel()

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode():
        network(torch.zeros(1, 3, 64, 64, device=next(network.parameters()).device))
    for hook in hooks:
        hook.remove()
    return counted / 64**2


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def seconds(work: Callable[[], object], clock: Callable[[], float], repeats: int) -> float:
    """The median of several runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = clock()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(clock() - start)
    return statistics.median(times[1:])


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One form, in this process."""
    device, clock = usable_device(options.device), CLOCKS[options.clock]
    torch.set_num_threads(options.threads[0])
    torch.manual_seed(0)
    network = build("denoiser", "unet", options.width).to(device).eval()
    operations = operations_per_pixel(network)
    matrix = torch.rand(2048, 2048, device=device)
    rate = 2 * 2048**3 / seconds(lambda: matrix @ matrix, clock, options.repeats)
    noisy = torch.rand(1, 3, options.side, options.side, device=device)
    form = options.forms[0]
    before = peak_memory(device)
    if form == "plain":

        def work() -> torch.Tensor:
            with torch.inference_mode():
                return network(noisy).clamp(0, 1)

    else:
        denoiser = Denoiser(network, border=0, **FORMS[form])  # as the plain form has none

        def work() -> torch.Tensor:
            return denoiser(noisy)

    start = time.perf_counter()
    result = work()
    first = time.perf_counter() - start
    with torch.inference_mode():
        difference = float((result - network(noisy).clamp(0, 1)).abs().max())
    after = seconds(work, clock, options.repeats)
    speed = options.side**2 / after
    return {
        "speed": speed / 1e6,
        "share": speed * operations / rate,
        "rate": rate / 1e9,
        "memory": (peak_memory(device) - before) / options.side**2,
        "first": first,
        "difference": difference,
    }


def speed(options: argparse.Namespace) -> None:
    """Print a table of the forms."""
    print(f"{hardware(usable_device(options.device))}, torch {torch.__version__}")
    print(f"width {options.width}, {options.side} x {options.side} pixels\n")
    print(
        "| form | threads | MP/s | times plain | of the matrix rate | bytes/pixel | first, s "
        "| max. difference |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for threads in options.threads:
        # In turn, as the machine's speed changes: each form is compared within its own round.
        rounds = [
            {form: in_own_process(form, threads, options) for form in options.forms}
            for _ in range(options.rounds)
        ]
        for form in options.forms:
            rows = [found[form] for found in rounds]
            if any(isinstance(row, str) for row in rows):
                print(f"| {form} | {threads} | {rows[-1]} |")
                continue
            row = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
            times = ""
            if "plain" in options.forms:
                ratios = [found[form]["speed"] / found["plain"]["speed"] for found in rounds]
                times = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(
                f"| {form} | {threads} | {row['speed']:.3f} | {times} | {row['share']:.0%} of "
                f"{row['rate']:.0f} GFLOP/s | {row['memory']:.0f} | {row['first']:.1f} | "
                f"{row['difference']:.1e} |",
                flush=True,
            )


def in_own_process(form: str, threads: int, options: argparse.Namespace) -> Any:
    """What `measure` gives, or the last line of the error."""
    line = [sys.executable, __file__, "one", "--forms", form, "--threads", str(threads)]
    for name in ("side", "width", "repeats", "device", "clock"):
        line += [f"--{name}", str(getattr(options, name))]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    lines = (run.stderr if run.returncode else run.stdout).strip().splitlines()
    return lines[-1] if run.returncode else json.loads(lines[-1])


def memory(options: argparse.Namespace) -> None:
    """Print the peak memory of pictures that are read from a file and written to one."""
    torch.set_num_threads(options.threads[0])
    print("| megapixels | tiles | peak memory above the start, MiB | s |\n|---|---|---|---|")
    denoiser = Denoiser(
        build("denoiser", "unet", options.width),
        device="cpu",
        max_memory=options.max_memory,
        runtime=options.runtime,
    )
    tiles = 0
    run_tiled = engine.run_tiled

    def counting(items: Sequence[Any], *others: Any, **settings: Any) -> None:
        nonlocal tiles
        tiles = len(items)  # of the last attempt, if the memory did not suffice for the first
        run_tiled(items, *others, **settings)

    # Not by a hook of the network, which other runtimes than PyTorch do not call.
    engine.run_tiled = counting
    denoiser(np.zeros((64, 64, 3), np.uint8))
    for megapixels in options.megapixels:
        side = round((megapixels * 1e6) ** 0.5)
        with tempfile.TemporaryDirectory() as folder:
            noisy, result = (
                np.lib.format.open_memmap(Path(folder) / name, "w+", np.uint8, (side, side, 3))
                for name in ("in.npy", "out.npy")
            )
            watch = Watch()
            start = time.perf_counter()
            with watch:
                denoiser(noisy, out=result)
            spent = time.perf_counter() - start
        print(f"| {megapixels} | {tiles} | {watch.peak / 2**20:.0f} | {spent:.0f} |", flush=True)


def files(options: argparse.Namespace) -> None:
    """Print the peak memory of ``danet denoise`` on TIFF files in tiles, compressed by Deflate."""
    import tifffile

    torch.set_num_threads(options.threads[0])
    noise = np.random.default_rng(0).integers(96, 160, (256, 256, 3), np.uint8)
    print("| megapixels | file, MiB | peak memory above the start, MiB | s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source, target = folder / "in.tif", folder / "out.tif"
        Denoiser(build("denoiser", "unet", options.width)).save_pretrained(folder / "weights")
        words = ["denoise", str(source), "-o", str(target), "--device", "cpu"]
        words += ["--weights", str(folder / "weights"), "--max-pixels", str(10**12)]
        if options.max_memory:
            words += ["--max-memory", str(options.max_memory)]
        for megapixels in (0.1, *options.megapixels):  # the first imports what is needed
            side = round((megapixels * 1e6) ** 0.5)
            tifffile.imwrite(
                source,
                itertools.repeat(noise, (-(-side // 256)) ** 2),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(256, 256),
                compression="deflate",
                photometric="rgb",
            )
            watch = Watch()
            start = time.perf_counter()
            with watch:
                assert main_of_danet(words) == 0
            spent = time.perf_counter() - start
            if megapixels != 0.1:
                size = source.stat().st_size / 2**20
                print(
                    f"| {megapixels:g} | {size:.0f} | {watch.peak / 2**20:.0f} | {spent:.0f} |",
                    flush=True,
                )


class Watch:
    """The most memory that the process has of its own in a block, above what it had before.

    Pages of memory-mapped files are not counted: the system takes them back when it needs them.
    """

    def __enter__(self) -> Watch:
        import threading

        self._start, self.peak, self._stop = self._own(), 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            self.peak = max(self.peak, self._own() - self._start)

    def _own(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def halo(options: argparse.Namespace) -> None:
    """Print the error of halos smaller than the exact one, on a picture in tiles."""
    torch.set_num_threads(options.threads[0])
    image = np.asarray(read_image(options.picture).convert("RGB"))[: options.side, : options.side]
    noisy = torch.from_numpy(image.copy()).permute(2, 0, 1) / 255
    denoiser = Denoiser(options.weights, dtype="float32")
    whole = denoiser(noisy)
    print("| halo | pixels computed, of the picture's | largest error, 8-bit levels | mean |")
    print("|---|---|---|---|")
    seen: list[int] = []
    denoiser.network.register_forward_hook(lambda _, __, y: seen.append(y[:, 0].numel()))
    denoiser.engine.settings.tile = options.tile
    for pixels in options.halos:
        denoiser.engine.settings.halo = pixels
        seen.clear()
        error = 255 * (denoiser(noisy) - whole).abs()
        cost = sum(seen) / noisy[0].numel()
        print(f"| {pixels} | {cost:.2f} | {error.max():.4f} | {error.mean():.6f} |", flush=True)


def precision(options: argparse.Namespace) -> None:
    """Print what a short type, or ONNX Runtime, changes in the results, and in their PSNR."""
    torch.set_num_threads(options.threads[0])
    if options.runtime == "onnxruntime":
        exact = Denoiser(options.weights, dtype="float32", device="cpu", runtime="torch")
        other: Any = ExportedDenoiser(options.weights)
    else:
        exact, other = (
            Denoiser(options.weights, dtype=dtype, device=options.device, runtime=options.runtime)
            for dtype in ("float32", options.dtype)
        )
    print(
        "| picture | PSNR, float32 | difference, dB | pixels within 0.5 levels | in 8 bits equal |"
    )
    print("|---|---|---|---|---|")
    rows = []
    for pair in benchmark_pairs("nam25", options.folder)[: options.pictures]:
        clean, noisy = (scaled(pixels) for pixels in pair.read())
        first, second = exact(noisy), other(noisy)
        better, worse = (psnr(result, clean) for result in (first, second))
        near = float((np.abs(first - second) <= 0.5 / 255).mean())
        equal = float((np.rint(255 * first) == np.rint(255 * second)).mean())
        rows.append((better, worse - better, near, equal))
        print(
            f"| {pair.name} | {better:.2f} | {worse - better:+.4f} | {near:.4%} | {equal:.4%} |",
            flush=True,
        )
    mean = [statistics.mean(column) for column in zip(*rows, strict=True)]
    print(f"| mean | {mean[0]:.2f} | {mean[1]:+.4f} | {mean[2]:.4%} | {mean[3]:.4%} |")


def sample(options: argparse.Namespace) -> None:
    """Print the time of one denoising and that of a noisy version, of 50 that are drawn."""
    torch.set_num_threads(options.threads[0])
    picture = torch.rand(3, options.side, options.side)
    denoiser, generator = (
        model(build(kind, "unet", options.width))  # type: ignore[operator]
        for model, kind in ((Denoiser, "denoiser"), (NoiseGenerator, "generator"))
    )
    count = 50
    print("| denoising, s | a noisy version, s | ratio |\n|---|---|---|")
    for _ in range(options.repeats):  # in turn, as the machine's speed changes
        once = seconds(lambda: denoiser(picture), time.perf_counter, 5)
        start = time.perf_counter()
        generator.sample(picture, n=count, seed=0)
        drawn = (time.perf_counter() - start) / count
        print(f"| {once:.3f} | {drawn:.3f} | {drawn / once:.2f} |", flush=True)


def start(options: argparse.Namespace) -> None:
    """Print the time of whole processes: of ``danet denoise`` for a pixel, and for a picture."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "photo.onnx"
        Denoiser(device="cpu").export(model)
        for side in (1, options.side):
            pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{side}.png")
        environment = os.environ | {"HF_ASSETS_CACHE": folder}

        def run(words: list[str], side: int) -> float:
            denoise = ["-m", "danet", "denoise", f"{folder}/{side}.png", "-o", f"{folder}/out.png"]
            line = [sys.executable, *([*denoise, *words] if words[0] != "-c" else words)]
            begin = time.perf_counter()
            subprocess.run(line, check=True, env=environment)
            return time.perf_counter() - begin

        forms = {
            "`import torch` alone": ["-c", "import torch"],
            "as it is": ["--runtime", "auto"],
            "`--dtype float32`": ["--dtype", "float32"],
            "`--runtime onnxruntime`": ["--runtime", "onnxruntime"],
            "`--weights photo.onnx`": ["--weights", str(model)],
        }
        for words in forms.values():
            run(words, 1)  # which makes the model that the later ones find
        # In turn, as the machine's speed changes.
        rounds = [
            {(form, side): run(words, side) for form, words in forms.items() for side in sides}
            for sides in [(1, options.side)] * options.repeats
        ]
        print(f"| `danet denoise` | 1 pixel, s | {options.side} x {options.side} pixels, s |")
        print("|---|---|---|")
        for form in forms:
            cells = []
            for side in (1, options.side):
                times = [found[form, side] for found in rounds]
                cells.append(
                    f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
                )
            print(f"| {form} | {' | '.join(cells)} |")


def process(options: argparse.Namespace) -> None:
    """Print the time of whole processes, from their start to the written file."""
    tile = Image.open(Path(__file__).parents[1] / "examples" / "noisy.png").convert("RGB")
    # 4 : 3, in the multiples that the plain form needs.
    width, height = (
        round((options.megapixels * 1e6 * ratio) ** 0.5 / 32) * 32 for ratio in (4 / 3, 3 / 4)
    )
    picture = Image.new("RGB", (width, height))
    for left, top in itertools.product(range(0, width, tile.width), range(0, height, tile.height)):
        picture.paste(tile, (left, top))
    threads = {"OMP_NUM_THREADS": str(options.threads[0])}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "noisy.jpg"), Path(folder, "clean.png")
        picture.save(source, quality=95)

        def measured(line: list[str]) -> tuple[float, float]:
            before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run([sys.executable, *line], check=True, env=os.environ | threads)
            spent, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
            return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        lines = {"plain": ["-c", PLAIN, str(source), str(target)]}
        for name, words in PROCESSES.items():
            lines[name] = ["-m", "danet", "denoise", str(source), "-o", str(target), *words]
        for line in lines.values():  # what is converted and cached is so by now
            measured(line)
        # In turn, as the machine's speed changes.
        rounds = [
            {name: measured(line) for name, line in lines.items()} for _ in range(options.rounds)
        ]
    print(f"{width} x {height} pixels, {options.threads[0]} threads\n")
    print("| process | s | times plain | of all threads, s | times plain |\n|---|---|---|---|---|")
    for name in lines:
        cells = []
        for clock in (0, 1):
            ratios = [found["plain"][clock] / found[name][clock] for found in rounds]
            median = statistics.median(found[name][clock] for found in rounds)
            ratio = statistics.median(ratios)
            cells.append(f"{median:.1f} | {ratio:.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    named = {"speed": speed, "one": None, "memory": memory, "files": files, "halo": halo}
    for name, command in {
        **named,
        "precision": precision,
        "sample": sample,
        "start": start,
        "process": process,
    }.items():
        sub = commands.add_parser(name)
        sub.add_argument("--threads", type=int, nargs="+", default=[torch.get_num_threads()])
        sub.add_argument("--width", type=int, default=32)
        sub.add_argument("--side", type=int, default=512)
        if name not in ("memory", "files", "halo", "precision"):
            sub.add_argument("--repeats", type=int, default=3)
        if name == "precision":
            sub.add_argument("folder", type=Path, help="the folder of nam25")
            sub.add_argument("--weights", default="photo")
            sub.add_argument("--dtype", default="bfloat16")
            sub.add_argument("--device", default="cpu")
            sub.add_argument("--pictures", type=at_least(1))
            sub.add_argument("--runtime", default="torch")
        if name in ("speed", "one"):
            sub.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
            sub.add_argument("--rounds", type=int, default=3)
            sub.add_argument("--device", default="cpu")
            sub.add_argument("--clock", choices=CLOCKS, default="wall")
        if name in ("memory", "files"):
            sub.add_argument("--megapixels", type=float, nargs="+", default=[4, 16, 64, 256])
            sub.add_argument("--max-memory", type=read_size, default=None)
            sub.add_argument("--runtime", default="torch")
        if name == "process":
            sub.add_argument("--megapixels", type=float, default=12)
            sub.add_argument("--rounds", type=int, default=3)
        if name == "halo":
            sub.add_argument("picture", type=Path)
            sub.add_argument("--weights", default="photo")
            sub.add_argument("--tile", type=int, default=128)
            sub.add_argument("--halos", type=int, nargs="+", default=[0, 16, 32, 48, 64, 96, 112])
        sub.set_defaults(command=command or (lambda options: print(json.dumps(measure(options)))))
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
