internal import CICU
internal import Glibc

/// Where characters, words and sentences of a text end, in any script.
///
/// Source: Unicode Standard Annex 29, with ICU's dictionaries for scripts without blanks.
package enum TextBreaks: Sendable {
    case characters, words, sentences

    /// The parts of a text. Joined, they are the whole text.
    package func parts(of text: Substring) -> [Substring] {
        let bytes = Array(text.utf8)
        var ends: UnsafeMutablePointer<Int64>?
        let count = bytes.withUnsafeBytes { bytes in
            l2s_break_ends(
                kind, bytes.bindMemory(to: CChar.self).baseAddress, Int64(bytes.count), &ends)
        }
        defer { free(ends) }
        // The library fails for lack of memory or of its data. The text is then one part.
        guard count > 0, let ends else { return text.isEmpty ? [] : [text] }
        var parts: [Substring] = []
        var (start, offset) = (text.startIndex, 0)
        for end in UnsafeBufferPointer(start: ends, count: Int(count)) {
            let next = text.utf8.index(start, offsetBy: Int(end) - offset)
            if start < next { parts.append(text[start..<next]) }
            (start, offset) = (next, Int(end))
        }
        if start < text.endIndex { parts.append(text[start...]) }
        return parts
    }

    private var kind: l2s_break_kind {
        switch self {
        case .characters: L2S_BREAK_CHARACTERS
        case .words: L2S_BREAK_WORDS
        case .sentences: L2S_BREAK_SENTENCES
        }
    }
}
