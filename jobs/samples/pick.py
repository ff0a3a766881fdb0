"""Picks the sample documents from the validation pairs of the corpus, the same ones on every run.

    python3 jobs/samples/pick.py CORPUS/valid.jsonl.xz

The corpus joins the paragraphs of a description with a space, and also holds most of them one by
one, as translation pairs: that is how the paragraphs of a whole description are found again.
"""
import hashlib
import json
import lzma
import pathlib
import shutil
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
# Documents by length in characters; the longest bucket is for descriptions of several paragraphs.
SUMMARIZE = [((120, 250), 8), ((250, 500), 10), ((500, 2500), 6)]
TRANSLATE = [((40, 120), 7), ((120, 250), 7), ((250, 900), 4)]
SUMMARIZE_PARAGRAPHS, TRANSLATE_PARAGRAPHS = 12, 10


def shuffled(texts):
    return sorted(set(texts), key=lambda text: hashlib.sha256(text.encode()).hexdigest())


def paragraphs(text, known):
    """`text` cut where known paragraphs begin and end; one piece when none is found."""
    cuts = {0, len(text)}
    for paragraph in known:
        start = text.find(paragraph)
        end = start + len(paragraph)
        starts_well = start == 0 or (start > 0 and text[start - 2 : start] in (". ", ": ", ") "))
        ends_well = end == len(text) or text[end : end + 1] == " "
        if start >= 0 and starts_well and ends_well:
            cuts |= {start, end}
    cuts = sorted(cuts)
    pieces = [text[a:b].strip() for a, b in zip(cuts, cuts[1:])]
    pieces = [piece for piece in pieces if piece]
    return pieces if min(map(len, pieces)) >= 40 else [text]


def take(candidates, count, taken):
    """The first `count` of `candidates` that do not begin like one taken before."""
    picked = []
    for pieces in candidates:
        opening = pieces[0][:40]
        if len(picked) < count and opening not in taken:
            taken.add(opening)
            picked.append("\n\n".join(pieces))
    assert len(picked) == count, f"expected {count} candidates, got {len(picked)}"
    return picked


def by_length(candidates, plan, taken):
    return [
        text
        for (low, high), count in plan
        for text in take((c for c in candidates if low <= len(c[0]) < high), count, taken)
    ]


def write(name, texts):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, text in enumerate(sorted(texts, key=len), start=1):
        (folder / f"{number:03}.txt").write_text(text + "\n", encoding="utf-8")


def main():
    with lzma.open(sys.argv[1], "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    whole = shuffled(row["src"] for row in rows if row["task"] == "summarize")
    italian = shuffled(row["src"] for row in rows if row["lang"] == "it")
    known = [
        row["src"]
        for row in rows
        if row["task"] == "translate" and len(row["src"]) >= 40 and row["src"][0].isupper()
    ]
    known = sorted(set(known))
    cut = [paragraphs(text, known) for text in whole]
    several = [pieces for pieces in cut if len(pieces) >= 2]
    translated = [pieces for pieces in several if all(piece in set(italian) for piece in pieces)]
    one = [[text] for text, pieces in zip(whole, cut) if len(pieces) == 1]
    sentences = [[text] for text in italian if text[0].isupper() or len(text) < 120]

    taken = set()
    to_translate = take(translated, TRANSLATE_PARAGRAPHS, taken)
    to_translate += by_length(sentences, TRANSLATE, taken)
    longest = sorted((p for p in several if len(p) >= 3), key=lambda p: -sum(map(len, p)))
    to_summarize = take(longest, SUMMARIZE_PARAGRAPHS // 2, taken)
    to_summarize += take(several, SUMMARIZE_PARAGRAPHS - len(to_summarize), taken)
    to_summarize += by_length(one, SUMMARIZE, taken)
    write("summarize", to_summarize)
    write("translate-en-it", to_translate)


main()
