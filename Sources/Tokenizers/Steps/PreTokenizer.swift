/// Cuts a text into the words that a model takes one by one.
///
/// Source: huggingface/tokenizers, pre_tokenizers/.
enum PreTokenizer: Sendable {
    /// Cuts a text into the words of an expression.
    case words(WordPattern)
    /// Cuts out each digit (`\p{N}`) by itself, or each run of digits.
    case digits(single: Bool)
    /// Cuts at a literal text.
    case literal([UInt8], Joint)
    /// Cuts at white space and drops it.
    case whitespace
    /// Blanks become marks, and each mark starts a word where `splits`.
    case metaspace(mark: [UInt8], front: Front, splits: Bool)
    /// Puts a blank in front of every word that has none.
    case blankInFront
    /// Cuts out runs of punctuation and of `$+<=>^~|`.
    case punctuation
    /// Cuts out three ASCII digits at a time.
    case threeDigits

    /// What becomes of a text that words are cut at.
    enum Joint: Sendable { case isolated, removed, withPrevious, withNext }
    /// Which words get a mark in front.
    enum Front: Sendable { case always, first, never }
}

/// A text and where it is cut.
struct CutText {
    var text: [UInt8]
    var words: [Range<Int>]
    /// Whether the first word stands at the start of all that is encoded.
    let isStart: Bool

    /// - Parameter isStart: whether the text stands at the start of all that is encoded.
    init(_ text: [UInt8], isStart: Bool) {
        self.text = text
        self.isStart = isStart
        words = text.isEmpty ? [] : [0..<text.count]
    }

    mutating func apply(_ step: PreTokenizer) {
        switch step {
        case .words(let pattern):
            split { text, word, emit in
                var start = word.lowerBound
                while start < word.upperBound {
                    let end = pattern.end(in: text, from: start, limit: word.upperBound)
                    emit(start..<end)
                    start = end
                }
            }
        case .digits(let single): splitRuns(alone: single) { kind, _ in kind.contains(.number) }
        case .punctuation:
            splitRuns(alone: false) { kind, value in
                kind.contains(.punctuation)
                    || value < 0x80 && "$+<=>^~|".utf8.contains(UInt8(value))
            }
        case .whitespace: removeBlanks()
        case .literal(let literal, let joint): split(at: literal, joint)
        case .blankInFront:
            rebuild { text, _ in
                text.first == UInt8(ascii: " ") ? Array(text) : [UInt8(ascii: " ")] + text
            }
        case .metaspace(let mark, let front, let splits):
            rebuild { text, isFirst in
                var marked: [UInt8] = []
                marked.reserveCapacity(text.count + text.count / 4)
                let isWanted = front == .always || front == .first && isFirst
                if isWanted, text.first != UInt8(ascii: " "), !text.starts(with: mark) {
                    marked += mark
                }
                for byte in text {
                    if byte == UInt8(ascii: " ") { marked += mark } else { marked.append(byte) }
                }
                return marked
            }
            if splits { split(at: mark, .withNext) }
        case .threeDigits: splitThreeDigits()
        }
    }

    /// Cuts every word further. What `cut` does not emit is dropped.
    private mutating func split(_ cut: ([UInt8], Range<Int>, (Range<Int>) -> Void) -> Void) {
        var found: [Range<Int>] = []
        found.reserveCapacity(words.count)
        for word in words { cut(text, word) { if !$0.isEmpty { found.append($0) } } }
        words = found
    }

    /// Replaces every word by what `write` makes of it.
    private mutating func rebuild(_ write: (ArraySlice<UInt8>, _ isFirst: Bool) -> [UInt8]) {
        var built: [UInt8] = []
        built.reserveCapacity(text.count + text.count / 2)
        for index in words.indices {
            let isFirst = isStart && words[index].lowerBound == 0
            let start = built.count
            built += write(text[words[index]], isFirst)
            words[index] = start..<built.count
        }
        text = built
    }

    private mutating func splitRuns(
        alone: Bool, _ belongs: (ScalarKind, UInt32) -> Bool
    ) {
        split { text, word, emit in
            var start = word.lowerBound
            var index = start
            var wasInside = false
            while index < word.upperBound {
                let scalar = UTF8Text.scalar(in: text, at: index)
                let isInside = belongs(ScalarKind.of(scalar.value), scalar.value)
                if index > start, isInside != wasInside || (isInside && alone) {
                    emit(start..<index)
                    start = index
                }
                wasInside = isInside
                index = scalar.end
            }
            emit(start..<index)
        }
    }

    private mutating func removeBlanks() {
        split { text, word, emit in
            var start = word.lowerBound
            var index = start
            while index < word.upperBound {
                let scalar = UTF8Text.scalar(in: text, at: index)
                if ScalarKind.of(scalar.value).contains(.space) {
                    emit(start..<index)
                    start = scalar.end
                }
                index = scalar.end
            }
            emit(start..<index)
        }
    }

    private mutating func split(at literal: [UInt8], _ joint: PreTokenizer.Joint) {
        guard let first = literal.first else { return }
        split { text, word, emit in
            var start = word.lowerBound
            var index = start
            while index + literal.count <= word.upperBound {
                guard text[index] == first, text[index..<index + literal.count] == literal[...]
                else {
                    index += 1
                    continue
                }
                let end = index + literal.count
                switch joint {
                case .isolated:
                    emit(start..<index)
                    emit(index..<end)
                    start = end
                case .removed:
                    emit(start..<index)
                    start = end
                case .withPrevious:
                    emit(start..<end)
                    start = end
                case .withNext:
                    emit(start..<index)
                    start = index
                }
                index = end
            }
            emit(start..<word.upperBound)
        }
    }

    private mutating func splitThreeDigits() {
        split { text, word, emit in
            var start = word.lowerBound
            var index = start
            while index + 3 <= word.upperBound {
                if text[index..<index + 3].allSatisfy({ (0x30...0x39).contains($0) }) {
                    emit(start..<index)
                    emit(index..<index + 3)
                    start = index + 3
                    index = start
                } else {
                    index += 1
                }
            }
            emit(start..<word.upperBound)
        }
    }
}
