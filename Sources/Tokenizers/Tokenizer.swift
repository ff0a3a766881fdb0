/// Text ↔ the ids of one model's vocabulary.
package protocol Tokenizer: Sendable {
    /// The ids of a text, as the model was trained to read it: with the end token for
    /// SentencePiece (T5), without one for byte-level BPE (GPT-2).
    ///
    /// Names of special tokens in a text ("</s>") are text like any other: a document cannot
    /// bring control tokens of its own. Cost: about linear in the text.
    func encode(_ text: String) -> [Int32]

    /// The text of ids. Special ids and ids outside the vocabulary are skipped; bytes that are
    /// not UTF-8 become U+FFFD.
    func decode(_ ids: [Int32]) -> String

    /// The ids of pieces, spelled as the tokenizer's own file spells them (`▁house`, `Ġhouse`);
    /// nil for one that it does not hold. Cost: a pass over the vocabulary.
    func ids(ofPieces pieces: [String]) -> [Int32?]

    /// One more than the largest id. A model's embedding may have more rows.
    var vocabularySize: Int { get }
}

/// Opens the tokenizer of a model folder, whichever of the known kinds it is.
///
/// - Throws: `TokenizerError`.
package func openTokenizer(folder: String) throws -> any Tokenizer {
    if fileExists(folder + "/spiece.model") {
        return try SentencePieceTokenizer(path: folder + "/spiece.model")
    }
    if fileExists(folder + "/vocab.json"), fileExists(folder + "/merges.txt") {
        return try ByteLevelTokenizer(
            vocabulary: folder + "/vocab.json", merges: folder + "/merges.txt")
    }
    if fileExists(folder + "/tokenizer.json") {
        return try ByteLevelTokenizer(tokenizerJSON: folder + "/tokenizer.json")
    }
    throw TokenizerError(
        path: folder,
        problem: .noneOf(files: ["spiece.model", "vocab.json with merges.txt", "tokenizer.json"]))
}
