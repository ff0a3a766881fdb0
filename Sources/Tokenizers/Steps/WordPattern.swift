/// The expressions by which byte-level tokenizers cut a text into words, written out as scanners,
/// so that no text can make them backtrack. Merges never cross the bounds of a word.
///
/// In each expression, the first alternative that fits is taken:
///
///     GPT-2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///     Llama 3   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
///               | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
///     Qwen 2    the same with \p{N} in place of \p{N}{1,3}
///
/// Source: openai/gpt-2, encoder.py; the tokenizer.json files of Llama 3 and Qwen 2.
enum WordPattern: Sendable {
    case gpt2
    case llama3
    case qwen2

    /// Nil for an expression that is not written out here.
    init?(expression: String) {
        let contractions = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", Self.contractionsSpelledOut]
        func after(_ digits: String) -> [String] {
            contractions.map {
                $0 + #"|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
                    + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
            }
        }
        switch expression {
        case #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#:
            self = .gpt2
        case let other where after(#"\p{N}{1,3}"#).contains(other): self = .llama3
        case let other where after(#"\p{N}"#).contains(other): self = .qwen2
        default: return nil
        }
    }

    private static let contractionsSpelledOut =
        "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"

    /// Where the word that starts at `start` ends.
    ///
    /// - Precondition: start < limit <= text.count.
    func end(in text: [UInt8], from start: Int, limit: Int) -> Int {
        let scan = WordScan(text: text, limit: limit)
        if let end = scan.contractionEnd(from: start, foldsCase: self != .gpt2) { return end }
        return self == .gpt2
            ? gpt2End(scan, from: start) : lineAwareEnd(scan, from: start)
    }

    private func gpt2End(_ scan: WordScan, from start: Int) -> Int {
        let first = scan.scalar(at: start)
        if !first.kind.contains(.space) { return scan.runEnd(like: first.kind, from: first.end) }
        if scan.text[start] == UInt8(ascii: " "), first.end < scan.limit {
            let second = scan.scalar(at: first.end)
            if !second.kind.contains(.space) {
                return scan.runEnd(like: second.kind, from: second.end)
            }
        }
        return scan.blanksEnd(from: start)
    }

    private func lineAwareEnd(_ scan: WordScan, from start: Int) -> Int {
        let first = scan.scalar(at: start)
        if first.kind.contains(.letter) { return scan.runEnd(like: .letter, from: first.end) }
        if first.kind.contains(.number) {
            return self == .qwen2 ? first.end : scan.numberEnd(from: first.end, more: 2)
        }
        let second = first.end < scan.limit ? scan.scalar(at: first.end) : nil
        if let second, !first.kind.contains(.lineEnd), second.kind.contains(.letter) {
            return scan.runEnd(like: .letter, from: second.end)
        }
        if !first.kind.contains(.space) {
            return scan.lineEndsEnd(from: scan.runEnd(like: [], from: first.end))
        }
        if let second, scan.text[start] == UInt8(ascii: " "), second.kind.isOther {
            return scan.lineEndsEnd(from: scan.runEnd(like: [], from: second.end))
        }
        return scan.lastLineEnd(from: start) ?? scan.blanksEnd(from: start)
    }
}

extension ScalarKind {
    fileprivate var isOther: Bool { isDisjoint(with: [.letter, .number, .space]) }
}

/// The parts that the expressions are made of.
private struct WordScan {
    let text: [UInt8]
    let limit: Int

    func scalar(at index: Int) -> (kind: ScalarKind, end: Int) {
        let scalar = UTF8Text.scalar(in: text, at: index)
        return (ScalarKind.of(scalar.value), scalar.end)
    }

    /// The end of 's 't 'm 'd 're 've 'll, with this apostrophe only; nil for other texts.
    func contractionEnd(from start: Int, foldsCase: Bool) -> Int? {
        guard text[start] == UInt8(ascii: "'"), start + 1 < limit else { return nil }
        func letter(_ index: Int) -> UInt8 {
            let byte = text[index]
            return foldsCase && byte < 0x80 ? byte | 0x20 : byte
        }
        switch letter(start + 1) {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        // The long s (ſ) is an s in another case.
        case 0xC5 where foldsCase && start + 2 < limit && text[start + 2] == 0xBF:
            return start + 3
        case let first:
            guard start + 2 < limit else { return nil }
            switch (first, letter(start + 2)) {
            case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")),
                (UInt8(ascii: "l"), UInt8(ascii: "l")):
                return start + 3
            default: return nil
            }
        }
    }

    /// The end of a run of letters, of numbers, or of what is neither letter, number nor white
    /// space.
    func runEnd(like kind: ScalarKind, from start: Int) -> Int {
        let classes: ScalarKind = [.letter, .number, .space]
        let wanted = kind.intersection(classes)
        var end = start
        while end < limit {
            let next = scalar(at: end)
            guard next.kind.intersection(classes) == wanted else { break }
            end = next.end
        }
        return end
    }

    func numberEnd(from start: Int, more: Int) -> Int {
        var end = start
        for _ in 0..<more where end < limit {
            let next = scalar(at: end)
            guard next.kind.contains(.number) else { break }
            end = next.end
        }
        return end
    }

    func lineEndsEnd(from start: Int) -> Int {
        var end = start
        while end < limit, text[end] == UInt8(ascii: "\n") || text[end] == UInt8(ascii: "\r") {
            end += 1
        }
        return end
    }

    /// The end of the last line end in a run of blanks; nil when it has none.
    func lastLineEnd(from start: Int) -> Int? {
        var end = start
        var last: Int?
        while end < limit {
            let next = scalar(at: end)
            guard next.kind.contains(.space) else { break }
            if next.kind.contains(.lineEnd) { last = next.end }
            end = next.end
        }
        return last
    }

    /// The end of a run of blanks. It leaves its last blank to the word behind it, unless it has
    /// only one.
    func blanksEnd(from start: Int) -> Int {
        var last = start
        var end = scalar(at: start).end
        while end < limit {
            let next = scalar(at: end)
            guard next.kind.contains(.space) else { return last == start ? end : last }
            last = end
            end = next.end
        }
        return end
    }
}
