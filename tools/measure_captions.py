"""`python -m tools.measure_captions captions_val2014.json`: how well the reader of objects reads real captions of COCO.

The captions are in the annotations of COCO's 2014 validation set, which are not part of this repository; which of them were
labelled, and how, is in tests/unit/data/captions_real.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path

from comfyui_fgdm.objects import words

LABELS = Path(__file__).parents[1] / "tests" / "unit" / "data" / "captions_real.json"


def digest(caption: str) -> str:
    """Of the words of a caption, whatever its marks and capitals."""
    plain = " ".join(re.sub("[^a-z0-9]+", " ", caption.lower()).split())
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def main() -> int:
    parser = argparse.ArgumentParser(prog="measure_captions", description=__doc__)
    parser.add_argument("annotations", type=Path, help="captions_val2014.json")
    parser.add_argument("--show", action="store_true", help="print every caption that is read wrongly")
    options = parser.parse_args()
    found = {
        (one["image_id"], digest(one["caption"])): one["caption"]
        for one in json.loads(options.annotations.read_text(encoding="utf-8"))["annotations"]
    }
    hits = missing = spurious = read = 0
    for image, mark, wanted, allowed in json.loads(LABELS.read_text(encoding="utf-8"))["captions"]:
        caption = found.get((image, mark))
        if caption is None:
            continue
        read += 1
        names = set(words.read(" ".join(re.sub("[^a-z0-9]+", " ", caption.lower()).split())).names)
        groups = [{one} if isinstance(one, str) else set(one) for one in wanted]
        lost = [group for group in groups if not group & names]
        extra = names - set(allowed) - set().union(*groups)
        hits, missing, spurious = hits + len(groups) - len(lost), missing + len(lost), spurious + len(extra)
        if options.show and (lost or extra):
            print(f"{caption!r}: missing {[sorted(group) for group in lost]}, wrong {sorted(extra)}")
    precision, recall = hits / max(1, hits + spurious), hits / max(1, hits + missing)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    print(f"captions: {read} of those labelled are there; precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")
    return 0 if read else 1


if __name__ == "__main__":
    raise SystemExit(main())
