internal import Jobs
internal import Tokenizers

/// A text that was cut into parts which fit a budget, with what stood between the parts.
struct SplitText: Equatable {
    struct Part: Equatable {
        /// Blanks, line ends and list marks that stand before the part. No model reads them.
        var lead: String
        var text: String
    }

    var parts: [Part]
    /// What stands after the last part.
    var trail: String

    /// Joins the outputs of the parts in the shape of the text. Line ends and list marks stay.
    /// Several blanks become one. Scripts that use no blanks get none.
    func joined(_ outputs: [String]) -> String {
        var joined = ""
        for (index, output) in outputs.enumerated() {
            let lead = parts.indices.contains(index) ? parts[index].lead : " "
            if index == 0 {
                joined = String(lead.drop(while: \.isWhitespace)) + output
            } else if lead.contains(where: \.isNewline) {
                joined += lead + output
            } else {
                joined += joint(before: index, lead, joined, output) + output
            }
        }
        return joined
    }

    private func joint(
        before index: Int, _ lead: String, _ left: String, _ right: String
    ) -> String {
        let (before, after) = (left.unicodeScalars.last, right.unicodeScalars.first)
        guard let before, let after else { return "" }
        if before.isUnspaced, after.isUnspaced { return "" }
        if lead.isEmpty, parts.indices.contains(index),
            let last = parts[index - 1].text.unicodeScalars.last,
            let first = parts[index].text.unicodeScalars.first,
            last.goesOn, first.goesOn
        {
            return ""
        }
        return " "
    }
}

/// Cuts a text at the ends of lines and sentences where that is possible, else between words, else
/// between characters. All leads and parts and the trail together are the whole text.
struct TextSplitter {
    /// The tokens that a stretch of text takes by itself.
    let cost: (Substring) -> Int
    let budget: Int
    /// Whether no part goes on beyond the end of a line. Line ends that wrapping made do not count.
    let keepsLines: Bool

    func split(_ text: String) -> SplitText {
        var split = SplitText(parts: [], trail: "")
        for line in keepsLines ? lines(of: text) : [text[...]] {
            let marked =
                keepsLines
                ? Self.listMark(of: line) : (mark: line[..<line.startIndex], rest: line)
            split.trail += marked.mark
            for piece in pack(fitting(sentences(of: marked.rest))) { append(piece, to: &split) }
        }
        return split
    }

    /// Adds a piece as a part. White space around it goes into the lead and the trail.
    private func append(_ piece: Substring, to split: inout SplitText) {
        guard piece.hasText,
            let first = piece.firstIndex(where: { !$0.isWhitespace }),
            let last = piece.lastIndex(where: { !$0.isWhitespace })
        else { return split.trail += piece }
        let end = piece.index(after: last)
        split.parts.append(
            SplitText.Part(lead: split.trail + piece[..<first], text: String(piece[first..<end])))
        split.trail = String(piece[end...])
    }

    /// Joins neighbours as long as they fit into the budget.
    private func pack(_ pieces: [Substring]) -> [Substring] {
        var packed: [Substring] = []
        var used = 0
        for piece in pieces {
            let size = cost(piece)
            if let last = packed.last, used + size <= budget {
                packed[packed.count - 1] = last.base[last.startIndex..<piece.endIndex]
                used += size
            } else {
                packed.append(piece)
                used = size
            }
        }
        return packed
    }

    private func fitting(_ pieces: [Substring]) -> [Substring] {
        pieces.flatMap { piece in
            cost(piece) <= budget
                ? [piece] : pack(TextBreaks.words.parts(of: piece).flatMap(characters))
        }
    }

    /// Halves a word until each piece fits. A single character is never cut, even if it does not
    /// fit.
    private func characters(_ word: Substring) -> [Substring] {
        guard cost(word) > budget, word.count > 1 else { return [word] }
        let middle = word.index(word.startIndex, offsetBy: word.count / 2)
        return characters(word[..<middle]) + characters(word[middle...])
    }

    // MARK: Sentences

    /// Cuts at the ends of sentences by Unicode's rules, with three corrections: an opening quote
    /// belongs to the sentence after it, a Khmer sentence ends at its sign, and the full stop of an
    /// abbreviation or a number ends no sentence.
    private func sentences(of text: Substring) -> [Substring] {
        var sentences: [Substring] = []
        for part in TextBreaks.sentences.parts(of: text).flatMap(Self.khmer) {
            guard let last = sentences.last else {
                sentences.append(part)
                continue
            }
            let opening = last.suffixStart(where: \.opensText)
            if opening < last.endIndex {
                sentences[sentences.count - 1] = last[..<opening]
                if opening == last.startIndex { sentences.removeLast() }
                sentences.append(text[opening..<part.endIndex])
            } else if Self.goesOn(behind: last) {
                sentences[sentences.count - 1] = text[last.startIndex..<part.endIndex]
            } else {
                sentences.append(part)
            }
        }
        return sentences
    }

    private static func khmer(_ part: Substring) -> [Substring] {
        var pieces: [Substring] = []
        var start = part.startIndex
        while let sign = part[start...].firstIndex(where: { "។៕៖".contains($0) }) {
            let next = part.index(after: sign)
            pieces.append(part[start..<next])
            start = next
        }
        if start < part.endIndex { pieces.append(part[start...]) }
        return pieces
    }

    /// Whether the text so far ends with the full stop of an initial, a number or an abbreviation,
    /// so that the sentence goes on.
    private static func goesOn(behind sentence: Substring) -> Bool {
        let words = sentence.split(whereSeparator: \.isWhitespace)
        guard let last = words.last?.drop(while: { !$0.isLetter && !$0.isNumber }),
            last.last == ".", last.dropLast().allSatisfy({ $0 != "!" && $0 != "?" }),
            !sentence.contains(where: { $0.isNewline && sentence.last == $0 })
        else { return false }
        let word = last.dropLast()
        if abbreviations.contains(word.lowercased()) { return true }
        if word.count == 1, word.first?.isUppercase == true { return true }
        return words.count == 1 && word.allSatisfy(\.isNumber)
    }

    private static let abbreviations: Set<String> = [
        "dr", "mr", "mrs", "ms", "prof", "st", "sr", "jr", "vs", "e.g", "i.e", "cf", "fig", "no",
        "vol", "pp", "approx", "ca", "inc", "ltd", "co", "u.s", "u.k", "z.b", "d.h", "bzw", "usw",
        "nr", "hr", "fr", "sig", "dott", "sig.ra", "ecc", "art", "m", "mme", "mlle", "p.ej",
    ]

    // MARK: Lines

    /// The lines of the text with their line ends. Lines that wrapping cut are joined again.
    private func lines(of text: String) -> [Substring] {
        var lines: [Substring] = []
        var start = text.startIndex
        while start < text.endIndex {
            let end = text[start...].firstIndex(where: \.isNewline).map(text.index(after:))
            let line = text[start..<(end ?? text.endIndex)]
            if let last = lines.last, Self.isWrapped(last, before: line) {
                lines[lines.count - 1] = text[last.startIndex..<line.endIndex]
            } else {
                lines.append(line)
            }
            start = line.endIndex
        }
        return lines
    }

    /// Whether a sentence goes on in the next line: its line ends without punctuation, and the line
    /// is long or the next one begins in lower case.
    private static func isWrapped(_ last: Substring, before next: Substring) -> Bool {
        let line = last.split(whereSeparator: \.isNewline).last ?? ""
        guard let end = line.last(where: { !$0.isWhitespace }),
            let first = next.first(where: { !$0.isWhitespace }), listMark(of: next).mark.isEmpty,
            next.first?.isNewline == false, last.last?.isNewline == true
        else { return false }
        if end.unicodeScalars.allSatisfy(\.endsSentence) || ":;".contains(end) { return false }
        let isLong = line.count >= (end.unicodeScalars.allSatisfy(\.isUnspaced) ? 25 : 50)
        return first.isLowercase || isLong
    }

    /// Splits a line into its list mark, with the blanks around it, and the rest.
    private static func listMark(of line: Substring) -> (mark: Substring, rest: Substring) {
        let none = (line[..<line.startIndex], line)
        let text = line.drop { $0 == " " || $0 == "\t" }
        guard let first = text.first else { return none }
        var rest = text.dropFirst()
        if first.isNumber, first.isASCII {
            rest = text.drop { $0.isNumber && $0.isASCII }
            guard let close = rest.first, ".)".contains(close) else { return none }
            rest = rest.dropFirst()
        } else if !"-*+•‣◦–—·".contains(first) {
            return none
        }
        guard let blank = rest.first, blank == " " || blank == "\t" else { return none }
        rest = rest.drop { $0 == " " || $0 == "\t" }
        return (line[..<rest.startIndex], rest)
    }
}

extension Substring {
    fileprivate func suffixStart(where belongs: (Unicode.Scalar) -> Bool) -> Index {
        var start = endIndex
        while start > startIndex {
            let before = unicodeScalars.index(before: start)
            guard belongs(unicodeScalars[before]) else { break }
            start = before
        }
        return start
    }
}

extension Unicode.Scalar {
    /// Whether it belongs to a script, or to the punctuation of one, that puts no blanks between
    /// words or sentences.
    var isUnspaced: Bool {
        switch value {
        case 0x0E00...0x0EFF, 0x1000...0x109F, 0x1780...0x17FF, 0x3000...0x30FF, 0x31F0...0x31FF,
            0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFFEF,
            0x2_0000...0x3_FFFF:
            true
        default: false
        }
    }

    /// Whether it is a letter or a number that can stand inside a word.
    fileprivate var goesOn: Bool {
        guard !isUnspaced else { return false }
        return properties.isAlphabetic || properties.numericType != nil
    }

    /// An opening bracket or quote.
    fileprivate var opensText: Bool {
        switch properties.generalCategory {
        case .openPunctuation, .initialPunctuation: true
        default: false
        }
    }

    fileprivate var endsSentence: Bool {
        ".!?…。！？．।॥۔؟։።။។៕".unicodeScalars.contains(self)
    }
}
