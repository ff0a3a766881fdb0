extension ModelFolder {
    /// The files that a folder's tokenizer may be made of: a copy of the folder needs those that
    /// are there.
    package static let tokenizerFiles = [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "spiece.model", "sentencepiece.bpe.model", "source.spm",
        "target.spm", "vocab.json", "merges.txt",
    ]
}
