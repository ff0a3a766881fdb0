"""Makes unspaced/ and unspaced-cases.json: SentencePiece models of scripts without blanks between words,
and what the reference library reads of long texts in them.

    pip install sentencepiece==0.2.3
    python generate_unspaced.py

The texts are made of words that chance puts together of real letters: nobody's. None has a letter or
a word twice in a row: three of them are read in two ways that are equally good, and rounding decides.
"""

import json
import pathlib
import random
import tempfile

import sentencepiece

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "unspaced"
LETTERS = [
    "的一是不了人我在有他這中大來上國個到說們為子和你地出道也時年得就那要下以生會自着去之過家學對可她里后小麼心多天而能好都然沒日於起還發成事只作當想看文",
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんアイウエオカキクケコ日本語東京人",
    "กขคงจฉชซญดตถทนบปผฝพฟมยรลวศสหอฮะาเแโใไ",
    "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허한국말사람",
]


def words(letters, chance):
    return ["".join(chance.sample(letters, k=chance.choice([1, 2, 2, 3]))) for _ in range(120)]


def main():
    FOLDER.mkdir(exist_ok=True)
    chance = random.Random(7)
    lexicons = [words(letters, chance) for letters in LETTERS]
    weights = [1 / (place + 3) for place in range(120)]

    def text(lexicon, count):
        made = ""
        for word in chance.choices(lexicon, weights, k=count):
            made += word if word[0] != made[-1:] and not made.endswith(word) else ""
        return made

    lines = [text(lexicon, 60) for lexicon in lexicons for _ in range(400)]
    # A letter that no model knows, marks, ASCII and blanks among them.
    texts = [text(lexicon, 700) for lexicon in lexicons]
    texts.append("".join(text(chance.choice(lexicons), 9) + chance.choice(["。", "", " ", "abc", "龘龘", "か\u3099", "ﾊﾞ"]) for _ in range(90)))
    cases = {}
    with tempfile.TemporaryDirectory() as scratch:
        corpus = pathlib.Path(scratch) / "lines.txt"
        corpus.write_text("\n".join(lines))
        for kind, rule in [("unigram", "nmt_nfkc"), ("bpe", "identity")]:
            sentencepiece.SentencePieceTrainer.train(
                input=str(corpus), model_prefix=f"{scratch}/{kind}", model_type=kind, normalization_rule_name=rule, vocab_size=700,
                pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, num_threads=1, minloglevel=2)
            data = pathlib.Path(f"{scratch}/{kind}.model").read_bytes()
            (FOLDER / f"{kind}.model").write_bytes(data)
            model = sentencepiece.SentencePieceProcessor(model_file=f"{scratch}/{kind}.model")
            cases[kind] = [{"text": text, "ids": model.encode(text)} for text in texts]
    (HERE / "unspaced-cases.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


main()
