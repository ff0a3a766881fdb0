"""Makes the tokenizer fixtures of this folder: what the reference libraries do with varied texts.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python generate.py train.jsonl.xz        # the corpus of Debian package descriptions

byte-level/           a byte-level BPE of 1,000 merges, trained here on the corpus's first pairs
byte-level-cases.json texts with their ids and what these decode to; id lists with their text
spiece-cases.json     the same for golden/t5-v1.0/llm/spiece.model (without the end token). No text
                      has two best segmentations ("000"): there the library's versions differ.
"""

import json
import lzma
import pathlib
import random
import sys

import sentencepiece
from tokenizers import ByteLevelBPETokenizer

HERE = pathlib.Path(__file__).parent
SPIECE = HERE.parent / "golden/t5-v1.0/llm/spiece.model"
END = "<|endoftext|>"

BY_HAND = [
    "", " ", "  ", "\n", " \n ", "\t", "a", " a", "a ", "  a  b   c  ", "a\nb", "a\n\nb\r\nc", "\u00a0x\u3000y\u2028z",
    "I'm you're he's she'll we've they'd don't can't", "I'M YOU'RE HE'S", "rock 'n' roll 'tis 'sometimes'", "''s'll've",
    "it’s “quoted” — naïve… café", "cafe\u0301 e\u0301\u0323 \u0301", "x² + y³ = ½ Ⅷ ⅻ ① ٣٤٥ ४५६ 12345 3.14 1,024,768",
    "abc123def 123abc v2.0.1-rc1 0x1F", "Å Å Å ﬁ ﬂ ß ẞ ı İ", "日本語のテキスト。中文文本,한국어 텍스트", "Привет, мир! Γειά σου Κόσμε",
    "שלום עולם مرحبا بالعالم", "नमस्ते दुनिया สวัสดีชาวโลก", "😀 😃👍🏽 👨‍👩‍👧‍👦 🇮🇹🇩🇰 ❤️", "𝒳𝓎𝓏 𐍈 🜁 \U0010ffff \ue000",
    "zero\u200bwidth\u200djoin\ufeffbom\u00adsoft", "a\x00b\x01c\x07d\x1be\x7ff", "\x1c\x1d\x1e\x1f\x85 separators",
    "snake_case camelCase kebab-case path/to/file.txt C:\\dir", "https://example.org/?q=1&r=%20#frag user@example.org",
    "if (x == 0) { return -1; } // ok\n\tfor i in range(10):\n\t\tprint(i)", "!!! ??? ... --- === ### $$$ %%% &&& ***", "!?!a ?!b",
    "<pad> </s> <unk> <|endoftext|> <extra_id_0>", "▁ ▁▁ a▁b Ġ Ċ Ġa", "summarize: translate English to Italian:",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "the the the thethethe THE The tHE", "ab" * 40, "  " * 20 + "x", "x" + "\n" * 9 + " y",
    "\t \t mixed \t white \n space \t", "'", "' s", " 's", "’s", "a'", "1's 2'll", "\ufffd", "e\u0300\u0301\u0302\u0303z", "½a a½ aⅧb",
    "\u2003em \u2009thin\u202fnarrow", "１２３ ＡＢＣ ｱｲｳ", "ⓐⓑ ㊀ ㍿", "ǅ ʰ ª º", "_ __ ___x", "a_b", "#include <stdio.h>", "3 4  5   6",
]
WORDS = [
    "the", "The", "library", "don't", "Über", "naïve", "日本", "😀", "\n", "\t", "  ", " ", "\u00a0", "42", "²", "Ⅷ", "...", "-", "'s", "'", "é",
    "e\u0301", "foo_bar", "C++", "(", ")", "ing", "\u200d", "ñ", "шум", "٣", "a", "!", "package",
]


def texts(pairs):
    chance = random.Random(402)
    mixed = ["".join(chance.choice(WORDS) for _ in range(chance.randint(2, 30))) for _ in range(90)]
    return BY_HAND + mixed + [pair["src"][:600] for pair in chance.sample(pairs, 30)] + [pair["tgt"][:300] for pair in chance.sample(pairs, 30)]


def cases(texts, encode, decode, size):
    chance = random.Random(16844)
    ids = [[chance.randrange(size) for _ in range(chance.randint(1, 12))] for _ in range(60)]
    return {
        "texts": [{"text": text, "ids": encode(text), "decoded": decode(encode(text))} for text in texts],
        "ids": [{"ids": some, "decoded": decode(some)} for some in ids],
    }


def write(name, value):
    # One case per line.
    lists = [f'"{key}": [\n' + ",\n".join(map(json.dumps, value[key])) + "\n]" for key in value]
    (HERE / name).write_text("{" + ",\n".join(lists) + "}\n")


def main():
    with lzma.open(sys.argv[1], "rt", encoding="utf-8") as lines:
        pairs = [json.loads(next(lines)) for _ in range(40_000)]
    chosen = texts(pairs)

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator((p[side] for p in pairs for side in ("src", "tgt")), vocab_size=1257, special_tokens=[END], show_progress=False)
    (HERE / "byte-level").mkdir(exist_ok=True)
    bpe.save_model(str(HERE / "byte-level"))
    bpe.save(str(HERE / "byte-level/tokenizer.json"))
    # The library reads END in a text as the token; here it stays text, so it is left out.
    plain = [text for text in chosen if END not in text]
    write("byte-level-cases.json", cases(plain, lambda t: bpe.encode(t).ids, lambda i: bpe.decode(i, skip_special_tokens=True), 1257))

    spm = sentencepiece.SentencePieceProcessor(model_file=str(SPIECE))
    special = {i for i in range(spm.vocab_size()) if spm.is_control(i) or spm.is_unknown(i)}
    write("spiece-cases.json", cases(chosen, spm.encode, lambda i: spm.decode([x for x in i if x not in special]), spm.vocab_size()))


if __name__ == "__main__":
    main()
