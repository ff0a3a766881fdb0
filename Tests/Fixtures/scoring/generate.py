"""What rouge-score and sacreBLEU say of 500 pairs, for ScoringTests.

    generate.py valid.jsonl.xz > scores.json

References are validation targets (Debian package descriptions; their licences are those of the
packages), hypotheses the same, made worse in a seeded way. rouge-score 0.1.2, nltk 3.10.4,
sacreBLEU 2.6.0.
"""

import json
import lzma
import random
import sys

import sacrebleu
from nltk.stem import porter
from rouge_score import rouge_scorer

HARD = [
    ("", ""), ("", "a word"), ("a word", ""), (" \t\n", "\u00a0"), ("x", "x"), ("yyyy", "yyy y"),
    ("cafe\u0301 au lait", "caf\u00e9 au lait"), ("\U0001F600 \U0001F680 go", "\U0001F600 go \U0001F680"),
    ("\U00020BB7\u91ce\u5bb6\u3067\u725c\u4e3c", "\u5409\u91ce\u5bb6\u3067\u725b\u4e3c\u3092\u98df\u3079\u308b"),
    ("\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u05e9\u05dc\u05d5\u05dd, \u05e2\u05d5\u05dc\u05dd!"),
    ("\u0645\u0631\u062d\u0628\u0627\u064b 3.14", "\u0645\u0631\u062d\u0628\u0627 3,14"),
    ("\u0130stanbul \u212aelvin \u03a3\u03a3", "istanbul kelvin \u03c3\u03c2"), ("\u1e9e \ufb01n", "ss fin"),
    ("a\u001cb\u2028c\u3000d\u200be", "a b c d e"), ("&quot;A&amp;B&quot; &lt;c&gt;", "\"A&B\" <c>"),
    ("&amp;lt;", "<"), ("well-\nknown\nline-", "wellknown line -"), ("<skipped>so", "so"),
    ("1,000.5 . , .,. 3-4 a-b", "1,000.5 ., . 3 - 4 a-b"), ("...", ". . ."), (",,9,,", "9"),
    ("one", "one two three four five six"), ("one two three four five six", "one"),
    ("the the the the", "the cat the"), ("relational conditionally hopping skies dying yy", "relate condition hop sky die yyy"),
]


def worse(text, random):
    words = text.split()
    kind = random.randrange(8)
    if kind == 0:
        return text
    if kind == 1:
        words = [word for word in words if random.random() > 0.3]
    elif kind == 2:
        random.shuffle(words)
    elif kind == 3:
        words = words[: len(words) // 2]
    elif kind == 4:
        words = [word + random.choice(["s", "ed", "ing", "ly", "ness", ""]) for word in words]
    elif kind == 5:
        words = [random.choice(words) for _ in words]
    elif kind == 6:
        return "".join(c if random.random() > 0.1 else random.choice("aé中😀.,- ") for c in text)
    else:
        words = words + words[:3]
    return " ".join(words)


random = random.Random(1)
with lzma.open(sys.argv[1], "rt") as file:
    rows = [json.loads(line)["tgt"] for line in file]
rows = [text for text in rows if len(text) < 400]
pairs = HARD + [(worse(text, random), text) for text in random.sample(rows, 500 - len(HARD))]

cases = []
for hypothesis, reference in pairs:
    case = {"hypothesis": hypothesis, "reference": reference}
    for name, stems in (("plain", False), ("stemmed", True)):
        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=stems)
        scores = scorer.score(reference, hypothesis)
        case[name] = [
            [round(scores[kind].precision, 8), round(scores[kind].recall, 8)]
            for kind in ("rouge1", "rouge2", "rougeL")
        ]
    case["bleu"] = round(
        sacrebleu.BLEU(effective_order=True).sentence_score(hypothesis, [reference]).score, 8)
    case["chrf"] = round(sacrebleu.CHRF().sentence_score(hypothesis, [reference]).score, 8)
    cases.append(case)

hypotheses, references = [p[0] for p in pairs], [p[1] for p in pairs]
stemmer = porter.PorterStemmer()
words = sorted({w for text in references for w in text.lower().split() if w.isascii() and w.isalnum()})
words += ["yyy", "sayyid", "oyez", "a1ied", "bies", "fulli", "analogi", "radicalli", "sensibiliti"]
json.dump({
    "cases": cases,
    "corpora": [
        {"count": count, "bleu": sacrebleu.BLEU().corpus_score(hypotheses[:count], [references[:count]]).score,
         "chrf": sacrebleu.CHRF().corpus_score(hypotheses[:count], [references[:count]]).score}
        for count in (1, 2, 25, 100, 500)
    ],
    "stems": {word: stemmer.stem(word) for word in words},
}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
