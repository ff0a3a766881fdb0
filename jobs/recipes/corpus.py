"""Builds the corpus of the default models from Debian's own package descriptions.

    python3 jobs/recipes/corpus.py FOLDER

Source: the Translation-<language> indexes that apt keeps for a Debian release; needs Debian, apt and
lz4. A long description and its synopsis make a summarization pair, a paragraph and its translation
by the Debian Description Translation Project a translation pair. The texts are free software, each
under the licence of its package. Packages whose names share a stem stay in one split.

Writes FOLDER/summarize.* and FOLDER/translate-en-it.*, each with

    documents.jsonl   {"document": …} for `l2s distill documents`
    train.jsonl       {"source": …, "target": …}: what people wrote
    valid.jsonl       the same, of other packages
"""

import collections
import glob
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile


def fetch(lists):
    os.makedirs(f"{lists}/partial", exist_ok=True)
    configuration = f"{lists}/apt.conf"
    with open(configuration, "w") as file:
        file.write('#clear Acquire::Languages;\nAcquire::Languages { "en"; "it"; };\n')
    subprocess.run(
        ["apt-get", "-q", "-c", configuration, "-o", f"Dir::State::Lists={lists}", "update"],
        check=True, stdout=subprocess.DEVNULL)


def load(lists, language):
    """MD5 of the English description → (package, description)."""
    found = {}
    for path in glob.glob(f"{lists}/*i18n_Translation-{language}.lz4"):
        text = subprocess.run(["lz4", "-dc", path], capture_output=True, check=True).stdout
        for stanza in text.decode("utf8", "replace").split("\n\n"):
            key = re.search(r"^Description-md5: (\w+)", stanza, re.M)
            body = re.search(r"^Description-(?!md5)\w+: (.*(?:\n .*)*)", stanza, re.M)
            package = re.search(r"^Package: (\S+)", stanza, re.M)
            if key and body and package:
                found[key.group(1)] = (package.group(1), body.group(1))
    return found


def parts(description):
    """Synopsis and paragraphs."""
    lines = description.split("\n")
    paragraphs = [[]]
    for line in lines[1:]:
        line = line.removeprefix(" ")
        if line.strip() == ".":
            paragraphs.append([])
        else:
            paragraphs[-1].append(line)
    flat = [" ".join(" ".join(lines).split()) for lines in paragraphs]
    return lines[0], [paragraph for paragraph in flat if paragraph]


def split(package):
    prefix = r"^(lib|python3?-|golang-|node-|ruby-|r-cran-|haskell-|fonts-)"
    stem = re.split(r"[-_0-9.+]", re.sub(prefix, "", package))[0] or package
    number = int(hashlib.md5(stem.encode()).hexdigest(), 16) % 1000
    return "test" if number < 10 else "valid" if number < 20 else "train"


def summaries(english):
    seen = set()
    for package, description in english.values():
        synopsis, paragraphs = parts(description)
        body = " ".join(paragraphs)
        if len(body) >= 80 and len(synopsis) >= 8 and (synopsis, body) not in seen:
            seen.add((synopsis, body))
            yield package, body, synopsis


def translations(english, other):
    seen = set()
    for key, (package, description) in other.items():
        if key not in english:
            continue
        (first, body), (other_first, other_body) = parts(english[key][1]), parts(description)
        pairs = [(first, other_first)]
        if len(body) == len(other_body):
            pairs += zip(body, other_body)
        for source, target in pairs:
            if source == target or (source, target) in seen or min(len(source), len(target)) < 3:
                continue
            # A paragraph that was split or joined in translation is no pair.
            if len(source) > 25 and not 0.5 < len(target) / len(source) < 2.2:
                continue
            seen.add((source, target))
            yield package, source, target


def write(folder, task, pairs):
    rows = collections.defaultdict(list)
    for package, source, target in pairs:
        rows[split(package)].append((source, target))
    for name in ("train", "valid"):
        random.Random(1).shuffle(rows[name])
        with open(f"{folder}/{task}.{name}.jsonl", "w") as file:
            for source, target in rows[name]:
                line = {"source": source, "target": target}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    with open(f"{folder}/{task}.documents.jsonl", "w") as file:
        for source in dict.fromkeys(source for source, _ in rows["train"]):
            file.write(json.dumps({"document": source}, ensure_ascii=False) + "\n")
    print(task, *(f"{len(rows[name])} {name}" for name in ("train", "valid")))


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as lists:
        # apt reads as a user of its own.
        os.chmod(lists, 0o755)
        fetch(lists)
        english = load(lists, "en")
        if not english:
            sys.exit("corpus.py: apt brought no Translation-en index; is this Debian?")
        write(folder, "summarize", summaries(english))
        write(folder, "translate-en-it", translations(english, load(lists, "it")))


main()
