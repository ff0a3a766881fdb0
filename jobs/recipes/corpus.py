"""Builds the corpus of the default models from texts that Debian distributes.

    python3 jobs/recipes/corpus.py FOLDER [--descriptions-only]

Needs Debian, apt, dpkg-deb and lz4; downloads about 100 MB, or 40 MB with `--descriptions-only`.
Sources, each free software under the licence of its package:

    Translation-<language>      the descriptions of all packages, which apt itself keeps. A long
                                description and its synopsis make a summarization pair; a paragraph
                                and its translation by the Debian Description Translation Project
                                make a translation pair. Each is under its package's licence.
    libreoffice-help-<language> paragraphs that have the same id on the same page. MPL-2.0.
    debian-handbook             paragraphs of pages that have as many in both languages.
                                GPL-2+ or CC-BY-SA-3.0.

All packages whose names share a stem stay in one split, and so do all texts of a page. No pair is twice in
the corpus, and a source that several texts share goes to the first of the splits test, valid and train.

Writes FOLDER/summarize.* and FOLDER/translate-en-<it|fr|de>.*, each with

    documents.jsonl   {"document": …} for `l2s distill documents`
    train.jsonl       {"source": …, "target": …}: what people wrote
    valid.jsonl       the same, of other packages and pages
    test.jsonl        the same, of still others; nothing is ever trained or chosen by it

and FOLDER/README.md with the counts.
"""

import collections
import glob
import hashlib
import html
import json
import os
import random
import re
import subprocess
import sys
import tempfile


LANGUAGES = ["it", "fr", "de"]
SPLITS = ["test", "valid", "train"]


def fetch(lists):
    os.makedirs(f"{lists}/partial", exist_ok=True)
    configuration = f"{lists}/apt.conf"
    with open(configuration, "w") as file:
        file.write('#clear Acquire::Languages;\nAcquire::Languages { "en"; "it"; "fr"; "de"; };\n')
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
    return split_of(stem)


def split_of(stem):
    number = int(hashlib.md5(stem.encode()).hexdigest(), 16) % 1000
    return "test" if number < 10 else "valid" if number < 20 else "train"


def unpack(package, folder):
    """Downloads and unpacks a package; returns where its files are, or None if apt does not have it."""
    target = os.path.join(folder, package)
    done = subprocess.run(
        ["apt-get", "-q", "download", package], cwd=folder, capture_output=True, text=True)
    files = glob.glob(f"{folder}/{package}_*.deb")
    if done.returncode != 0 or not files:
        print(f"corpus.py: cannot download {package}: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    subprocess.run(["dpkg-deb", "-x", files[0], target], check=True)
    return target


def plain(markup):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def is_pair(source, target):
    """Whether the two may say the same: they are long enough, alike in length, and not the same text."""
    if source == target or min(len(source), len(target)) < 3:
        return False
    return len(source) <= 25 or 0.5 < len(target) / len(source) < 2.2


def help_pages(folder):
    """Page → id → text."""
    pages = {}
    for path in glob.glob(f"{folder}/usr/share/libreoffice/help/*/text/**/*.html", recursive=True):
        with open(path, encoding="utf8", errors="replace") as file:
            text = file.read().split('id="DEBUG"')[0]
        found = re.findall(
            r'<(p|h[1-6])\b[^>]*\bid="((?:par|hd)_id\w+)"[^>]*>(.*?)</\1>', text, re.S)
        pages[path.split("/text/", 1)[1]] = {key: plain(body) for _, key, body in found}
    return pages


def help_translations(english, other):
    for page, paragraphs in english.items():
        for key, source in paragraphs.items():
            target = other.get(page, {}).get(key, "")
            # Shorter texts are names of buttons.
            if len(source.split()) >= 4 and is_pair(source, target):
                yield split_of("libreoffice/" + page), source, target


def handbook_translations(folder, language):
    root = f"{folder}/usr/share/doc/debian-handbook/html"
    for path in sorted(glob.glob(f"{root}/en-US/*.html")):
        pages = [path, path.replace("/en-US/", f"/{language}-{language.upper()}/")]
        if not os.path.exists(pages[1]):
            continue
        found = []
        for page in pages:
            with open(page, encoding="utf8", errors="replace") as file:
                found.append(
                    [plain(body) for body in re.findall(
                        r'<div class="para">(.*?)</div>', file.read(), re.S)])
        if len(found[0]) == len(found[1]):
            for source, target in zip(*found):
                if len(source.split()) >= 4 and is_pair(source, target):
                    yield split_of("handbook/" + os.path.basename(path)), source, target


def summaries(english):
    seen = set()
    for package, description in english.values():
        synopsis, paragraphs = parts(description)
        body = " ".join(paragraphs)
        if len(body) >= 80 and len(synopsis) >= 8 and (synopsis, body) not in seen:
            seen.add((synopsis, body))
            yield split(package), body, synopsis


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
            # A paragraph that was split or joined in translation is no pair.
            if (source, target) not in seen and is_pair(source, target):
                seen.add((source, target))
                yield split(package), source, target


def write(folder, task, origins):
    """Writes the files of a task; returns its lines of the table in README.md."""
    pairs = [(origin, *pair) for origin, found in origins.items() for pair in found]
    rows, splits, counts = collections.defaultdict(list), {}, collections.Counter()
    for _, name, source, _ in pairs:
        splits[source] = min(splits.get(source, "train"), name, key=SPLITS.index)
    seen = set()
    for origin, _, source, target in pairs:
        name = splits[source]
        if (source, target) not in seen:
            seen.add((source, target))
            rows[name].append((source, target))
            counts[origin, name] += 1
    for name in SPLITS:
        random.Random(1).shuffle(rows[name])
        with open(f"{folder}/{task}.{name}.jsonl", "w") as file:
            for source, target in rows[name]:
                line = {"source": source, "target": target}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    with open(f"{folder}/{task}.documents.jsonl", "w") as file:
        for source in dict.fromkeys(source for source, _ in rows["train"]):
            file.write(json.dumps({"document": source}, ensure_ascii=False) + "\n")
    print(task, *(f"{len(rows[name])} {name}" for name in SPLITS), flush=True)
    return [
        f"| {task} | {origin} | " + " | ".join(str(counts[origin, name]) for name in SPLITS) + " |"
        for origin in origins]


def main():
    arguments = [word for word in sys.argv[1:] if word != "--descriptions-only"]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit(__doc__)
    folder = arguments[0]
    os.makedirs(folder, exist_ok=True)
    lines = ["| task | from | test | valid | train |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as lists:
        # apt reads the folder as another user.
        os.chmod(lists, 0o755)
        fetch(lists)
        english = load(lists, "en")
        if not english:
            sys.exit("corpus.py: apt downloaded no Translation-en index; is this Debian?")
        lines += write(folder, "summarize", {"descriptions": summaries(english)})
        handbook = pages = None
        if len(arguments) == len(sys.argv) - 1:
            handbook = unpack("debian-handbook", lists)
            english_help = unpack("libreoffice-help-en-us", lists)
            pages = english_help and help_pages(english_help)
        for language in LANGUAGES:
            origins = {"descriptions": translations(english, load(lists, language))}
            own_help = pages and unpack(f"libreoffice-help-{language}", lists)
            if own_help:
                origins["LibreOffice help"] = help_translations(pages, help_pages(own_help))
            if handbook:
                origins["Debian handbook"] = handbook_translations(handbook, language)
            lines += write(folder, f"translate-en-{language}", origins)
    with open(f"{folder}/README.md", "w") as file:
        file.write("# Pairs of each split, by jobs/recipes/corpus.py\n\n" + "\n".join(lines) + "\n")


main()
