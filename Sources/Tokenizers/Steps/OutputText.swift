/// Makes the text of ids.
///
/// Source: huggingface/tokenizers, decoders/.
struct OutputText: Sendable {
    enum Rule: Sendable, Equatable {
        /// The bytes of all tokens together are the text.
        case bytes
        /// Marks become blanks, and byte tokens in a row are joined before they are read as UTF-8.
        /// Up to `stripped` blanks at the start of the whole text are dropped.
        case pieces(stripped: Int)
        /// As `pieces`, without blanks at the ends.
        case trimmed
        /// As `pieces`, and the first token loses all its marks.
        case words
    }

    var rule: Rule
    /// By id: its text, with blanks in place of marks; nil for ids that stand for no text.
    var textOfID: [[UInt8]?]
    /// Ids that stand for one byte each, which is their text.
    var byteIDs: Set<Int32> = []

    func text(of ids: [Int32]) -> String {
        var bytes: [UInt8] = []
        var run: [UInt8] = []
        var isFirst = true
        for id in ids {
            guard textOfID.indices.contains(Int(id)), let text = textOfID[Int(id)] else { continue }
            if rule != .bytes, byteIDs.contains(id) {
                run += text
                isFirst = false
                continue
            }
            flush(&run, into: &bytes)
            if rule == .words, isFirst {
                bytes += text.drop { $0 == UInt8(ascii: " ") }
            } else {
                bytes += text
            }
            isFirst = false
        }
        flush(&run, into: &bytes)
        if case .pieces(let stripped) = rule {
            let blanks = bytes.prefix(stripped).prefix { $0 == UInt8(ascii: " ") }.count
            bytes.removeFirst(blanks)
        }
        if rule == .trimmed {
            bytes = Normalizer.strip(left: true, right: true).apply(to: bytes)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Each byte of a run that is not UTF-8 becomes U+FFFD.
    private func flush(_ run: inout [UInt8], into bytes: inout [UInt8]) {
        guard !run.isEmpty else { return }
        if String(validating: run, as: UTF8.self) != nil {
            bytes += run
        } else {
            for _ in run { bytes += Array("\u{FFFD}".utf8) }
        }
        run = []
    }
}
