"""The statistic of `stream_guard.surprise` in a window test, and what it costs: `python benchmarks/windows.py PAIRS.jsonl.gz`.

The window test asks: does a batch of 1,500 or 100 queries hold some of an extraction attack? Its protocol is that of
arXiv 2606.05725; the script that comes with the labelled streams runs it on a detector of one's own, from this
project's folder:

    PYTHONPATH=. python WINDOWS.py PAIRS.jsonl.gz --detector benchmarks.windows:Detector

Run by itself this prints the cost of a query of PAIRS (rows with a field `text`) of the sketch and on top of it.
"""

import argparse
import gzip
import itertools
import time
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_guard.sketch import sketch
from stream_guard.surprise import FEATURES, Normal, Sums, Surprise


class Detector:
    """What the engine knows of a population's queries, in the window test's interface."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def score(self, reference: NDArray[np.int64], windows: Sequence[NDArray[np.int64]]) -> list[float]:
        """Learn the reference, then score windows; both hold places in `texts`."""
        surprise = Surprise()
        known = [self.texts[i] for i in reference]
        surprise.see(known, np.ones(len(known), np.bool_))
        normal = Normal(surprise.rank_among(known))
        used = np.unique(np.concatenate(windows))
        standings = np.zeros((len(self.texts), len(FEATURES)), np.int8)
        standings[used] = surprise.see([self.texts[i] for i in used], np.zeros(len(used), np.bool_))
        places = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
        return normal.score(Sums.of(standings[np.concatenate(windows)], places, len(windows))).tolist()


def main() -> None:
    """Print what a query costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs")
    parser.add_argument("--bytes", type=int, default=1700, help="queries are put together to about this size")
    args = parser.parse_args()
    row = msgspec.json.Decoder(dict[str, str])
    with gzip.open(args.pairs) as lines:
        texts = [row.decode(line)["text"] for line in itertools.islice(lines, 20_000)]
    whole = "\n".join(texts)
    texts = [whole[at : at + args.bytes] for at in range(0, len(whole), args.bytes)]
    surprise, teach = Surprise(), np.ones(len(texts), np.bool_)
    for name, work in (("sketch", lambda: sketch(texts)), ("surprise", lambda: surprise.see(texts, teach))):
        work()  # compiles
        surprise.rank()
        spent = []
        for _ in range(5):
            began = time.process_time()
            work()
            spent.append((time.process_time() - began) / len(texts) * 1e6)
        print(f"{name}: {min(spent):.1f} us a query of {np.mean([len(t.encode()) for t in texts]):.0f} bytes")


if __name__ == "__main__":
    main()
