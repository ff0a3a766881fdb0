/// A token that is cut out of a text before the rest is normalized and encoded.
struct AddedToken: Sendable, Equatable {
    var id: Int32
    var content: String
    /// Whether it stands for something other than its spelling. A document cannot bring it, and an
    /// output does not show it.
    var isSpecial: Bool
    /// Whether the blanks before it become part of it.
    var stripsLeft = false
    /// Whether the blanks behind it become part of it.
    var stripsRight = false
    /// Whether it is found only where no word goes on at either side of it.
    var isSingleWord = false
    /// Whether it is looked for in the normalized text.
    var isNormalized = false
}

extension AddedToken {
    /// Whether it is spelled as M2M100 (`__it__`), mBART (`it_IT`) or NLLB (`ita_Latn`) spell
    /// languages.
    var namesLanguage: Bool {
        let parts = content.split(separator: "_", omittingEmptySubsequences: false)
        func isWord(_ part: Substring, _ lengths: ClosedRange<Int>) -> Bool {
            lengths.contains(part.count) && part.allSatisfy { $0.isASCII && $0.isLetter }
        }
        switch parts.count {
        case 2: return isWord(parts[0], 2...3) && isWord(parts[1], 2...4)
        case 5:
            return isWord(parts[2], 2...3)
                && parts.indices.allSatisfy { $0 == 2 || parts[$0].isEmpty }
        default: return false
        }
    }
}

/// Finds added tokens in a text: the leftmost first, and of several at one place the longest.
///
/// Source: huggingface/tokenizers, tokenizer/added_vocabulary.rs.
struct AddedTokenFinder: Sendable {
    enum Piece: Equatable {
        case token(Int32)
        case text(Range<Int>)
    }

    private var tokens: [AddedToken] = []
    /// The contents of `tokens`, with their indices as ids.
    private var contents: PieceTable
    /// By first byte: the lengths of the contents that start with it, longest first.
    private var lengths = [[Int]](repeating: [], count: 256)

    /// - Parameter normalize: what contents become before they are looked for.
    init(_ added: [AddedToken], normalize: ([UInt8]) -> [UInt8] = { $0 }) {
        contents = PieceTable(capacity: added.count)
        for token in added {
            let content = normalize(Array(token.content.utf8))
            guard let first = content.first.map(Int.init),
                contents.insert(content[...], id: Int32(tokens.count))
            else { continue }
            tokens.append(token)
            if !lengths[first].contains(content.count) {
                lengths[first].append(content.count)
                lengths[first].sort(by: >)
            }
        }
    }

    var isEmpty: Bool { tokens.isEmpty }

    /// Cuts `range` of a text into tokens and the text between them.
    ///
    /// - Parameter templates: where special tokens may stand, in order.
    func split(_ text: [UInt8], _ range: Range<Int>, templates: [Range<Int>]) -> [Piece] {
        var pieces: [Piece] = []
        var rest = range.lowerBound
        var index = range.lowerBound
        while index < range.upperBound {
            guard let (token, length) = longest(in: text, at: index, limit: range.upperBound) else {
                index += 1
                continue
            }
            var found = index..<index + length
            if token.isSpecial, !templates.contains(where: { $0.contains(found) }) {
                // In a document the whole name is text. Where it reaches into a template, a token
                // of the template's own may begin within it.
                index = templates.contains { $0.overlaps(found) } ? index + 1 : found.upperBound
                continue
            }
            index = found.upperBound
            if token.isSingleWord, !standsAlone(found, in: text, range) { continue }
            if token.stripsLeft {
                found = blanksStart(text, before: found.lowerBound, limit: rest)..<found.upperBound
            }
            if token.stripsRight {
                // The search goes on behind the token itself: another may start with these blanks.
                let end = blanksEnd(text, from: found.upperBound, limit: range.upperBound)
                found = found.lowerBound..<end
            }
            if rest < found.lowerBound { pieces.append(.text(rest..<found.lowerBound)) }
            pieces.append(.token(token.id))
            rest = found.upperBound
        }
        if rest < range.upperBound { pieces.append(.text(rest..<range.upperBound)) }
        return pieces
    }

    private func longest(
        in text: [UInt8], at index: Int, limit: Int
    ) -> (token: AddedToken, length: Int)? {
        for length in lengths[Int(text[index])] where index + length <= limit {
            if let found = contents.id(of: text[index..<index + length]) {
                return (tokens[Int(found)], length)
            }
        }
        return nil
    }

    private func standsAlone(_ found: Range<Int>, in text: [UInt8], _ range: Range<Int>) -> Bool {
        func isWord(at index: Int) -> Bool {
            ScalarKind.of(UTF8Text.scalar(in: text, at: index).value).contains(.word)
        }
        let isJoined =
            found.lowerBound > range.lowerBound
            && isWord(at: UTF8Text.start(of: text, before: found.lowerBound))
            || found.upperBound < range.upperBound && isWord(at: found.upperBound)
        return !isJoined
    }

    private func blanksStart(_ text: [UInt8], before index: Int, limit: Int) -> Int {
        var start = index
        while start > limit {
            let before = UTF8Text.start(of: text, before: start)
            guard ScalarKind.of(UTF8Text.scalar(in: text, at: before).value).contains(.space) else {
                break
            }
            start = before
        }
        return start
    }

    private func blanksEnd(_ text: [UInt8], from index: Int, limit: Int) -> Int {
        var end = index
        while end < limit {
            let scalar = UTF8Text.scalar(in: text, at: end)
            guard ScalarKind.of(scalar.value).contains(.space) else { break }
            end = scalar.end
        }
        return end
    }
}

extension Range<Int> {
    fileprivate func contains(_ other: Range<Int>) -> Bool {
        lowerBound <= other.lowerBound && other.upperBound <= upperBound
    }
}
