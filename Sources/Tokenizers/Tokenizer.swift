/// A stretch of a prompt, and who wrote it.
package struct PromptSegment: Sendable, Equatable {
    package let text: String
    /// Whether a job file wrote the text, which may then spell special tokens. Text of a document
    /// never becomes one.
    package let isTemplate: Bool

    package init(text: String, isTemplate: Bool) {
        self.text = text
        self.isTemplate = isTemplate
    }

    package static func template(_ text: String) -> PromptSegment {
        PromptSegment(text: text, isTemplate: true)
    }

    package static func document(_ text: String) -> PromptSegment {
        PromptSegment(text: text, isTemplate: false)
    }
}

/// Which of the tokens that a model expects at the ends of a text are added.
package enum TextEnds: Sendable {
    case both
    /// Only those at the end, for a text that goes on from another.
    case closing
    case none
}

/// Text ↔ the ids of one model's vocabulary.
package protocol Tokenizer: Sendable {
    /// The ids of a prompt, which is read as one text.
    ///
    /// Names of special tokens ("</s>", "<|im_end|>") are text where a document has them: a
    /// document cannot bring control tokens. In a template they are these tokens. An opening token
    /// that a template spells itself is not doubled. Cost: about linear in the text.
    func encode(_ prompt: [PromptSegment], ends: TextEnds) -> [Int32]

    /// The text of ids. Special ids and ids outside of the vocabulary are skipped. Bytes that are
    /// not UTF-8 become U+FFFD.
    func decode(_ ids: [Int32]) -> String

    /// The ids of pieces, spelled as the tokenizer's own file spells them (`▁house`, `Ġhouse`);
    /// nil for one that it does not hold. Cost: a pass over the vocabulary.
    func ids(ofPieces pieces: [String]) -> [Int32?]

    /// One more than the largest id. A model's embedding may have more rows.
    var vocabularySize: Int { get }

    /// One more than the largest id that the text of a document can become.
    var textVocabularySize: Int { get }

    /// The token that stands for characters that the vocabulary lacks; nil where it lacks none.
    var unknownID: Int32? { get }

    /// By id: its piece, as the tokenizer's own file spells it; nil for ids that are not in use.
    var pieces: [String?] { get }

    /// The kind of the tokenizer, in words.
    var kind: String { get }
}

extension Tokenizer {
    /// Whether both give the same ids the same pieces, byte for byte.
    package func hasSamePieces(as other: any Tokenizer) -> Bool {
        pieces.elementsEqual(other.pieces) { one, other in
            one.map { Array($0.utf8) } == other.map { Array($0.utf8) }
        }
    }

    /// The ids of a document's text as the model was trained to read it: with the tokens that it
    /// expects at the ends.
    package func encode(_ text: String) -> [Int32] { encode([.document(text)], ends: .both) }
}
