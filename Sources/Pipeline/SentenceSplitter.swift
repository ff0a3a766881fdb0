/// Cuts a text into pieces that each fit a budget, at the ends of sentences where it can, else
/// between words, else between characters. Joined, the pieces are the whole text.
struct SentenceSplitter {
    /// Tokens of a piece of text, by itself.
    let cost: (Substring) -> Int
    let budget: Int

    func split(_ text: String) -> [String] {
        pack(fitting(sentences(text[...]))).map(String.init)
    }

    /// As many neighbours together as fit.
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
            cost(piece) <= budget ? [piece] : pack(words(piece).flatMap(characters))
        }
    }

    /// A sentence ends after . ! ? … and their closing quotes when white space follows, after
    /// their ideographic twins, and at an empty line.
    private func sentences(_ text: Substring) -> [Substring] {
        cut(text) { character, next in
            if "。！？".contains(character) { return true }
            guard let next, next.isWhitespace else { return false }
            return ".!?…".contains(character) || (character.isNewline && next.isNewline)
        }
    }

    private func words(_ text: Substring) -> [Substring] {
        cut(text) { character, next in
            character.isWhitespace && next.map { !$0.isWhitespace } ?? false
        }
    }

    /// Halves a word until it fits; one character stays whole whatever it costs.
    private func characters(_ word: Substring) -> [Substring] {
        guard cost(word) > budget, word.count > 1 else { return [word] }
        let middle = word.index(word.startIndex, offsetBy: word.count / 2)
        return characters(word[..<middle]) + characters(word[middle...])
    }

    /// Cuts after each character for which `isEnd` holds, given the one that follows it.
    private func cut(
        _ text: Substring, after isEnd: (Character, Character?) -> Bool
    ) -> [Substring] {
        var pieces: [Substring] = []
        var start = text.startIndex
        var index = start
        while index < text.endIndex {
            let following = text.index(after: index)
            let next = following < text.endIndex ? text[following] : nil
            if isEnd(text[index], next) {
                pieces.append(text[start..<following])
                start = following
            }
            index = following
        }
        if start < text.endIndex { pieces.append(text[start...]) }
        return pieces
    }
}
