/// A tokenizer made of the steps that a tokenizer.json names: added tokens are cut out, the rest
/// is normalized, cut into words and encoded by a model, and tokens are put at the ends.
package struct ComposedTokenizer: Tokenizer {
    enum Model: Sendable {
        case bytePair(BytePairModel)
        case unigram(UnigramModel)
        /// The system's SentencePiece library, which does all of the steps by itself.
        case sentencePiece(SentencePieceModel)
        /// The library's pieces, with the ids of another vocabulary.
        case numberedPieces(SentencePieceModel, vocabulary: PieceTable, unknownID: Int32)
    }

    struct Parts {
        var model: Model
        var added: [AddedToken] = []
        var normalizers: [Normalizer] = []
        var preTokenizers: [PreTokenizer] = []
        /// Tokens at the ends of every text.
        var opening: [Int32] = []
        var closing: [Int32] = []
        var output: OutputText
        /// A template may start with the tag of a language, `>>ita<<`, which is one token.
        var hasLanguageTags = false
        /// By id: its piece, as the file spells it.
        var spelling: [String?]
        var kind: String
    }

    private let parts: Parts
    private let rawTokens: AddedTokenFinder
    private let normalizedTokens: AddedTokenFinder
    private let caches = WordCachePool()
    private let specialIDs: Set<Int32>
    /// The special tokens that name the language of a text. A template that starts with one sets
    /// the language.
    private let languageIDs: Set<Int32>
    /// A mark that words may be cut before, because no piece has it behind another character. Nil
    /// where some piece does.
    private let wordMark: [UInt8]?
    package let vocabularySize: Int
    package let textVocabularySize: Int

    init(_ parts: Parts) {
        self.parts = parts
        let normalizers = parts.normalizers
        func isRaw(_ token: AddedToken) -> Bool { token.isSpecial || !token.isNormalized }
        rawTokens = AddedTokenFinder(parts.added.filter(isRaw))
        normalizedTokens = AddedTokenFinder(
            parts.added.filter { !isRaw($0) },
            normalize: { text in normalizers.reduce(text) { $1.apply(to: $0) } })
        let special = Set(parts.added.filter(\.isSpecial).map(\.id))
        specialIDs = special
        languageIDs = Set(
            parts.added.filter { $0.isSpecial && $0.namesLanguage }.map(\.id))
        wordMark = Self.wordMark(of: parts.model)
        vocabularySize = parts.spelling.count
        textVocabularySize =
            1
            + (parts.spelling.indices.last {
                parts.spelling[$0] != nil && !special.contains(Int32($0))
            } ?? -1)
    }

    package var kind: String { parts.kind }
    package var pieces: [String?] { parts.spelling }
    package var unknownID: Int32? {
        switch parts.model {
        case .bytePair(let model): model.unknownID
        case .unigram(let model): model.unknownID
        case .sentencePiece(let model): model.unknownID
        case .numberedPieces(_, _, let unknownID): unknownID
        }
    }

    /// Every id that stands for no text.
    var special: Set<Int32> { specialIDs }

    package func encode(_ prompt: [PromptSegment], ends: TextEnds) -> [Int32] {
        var text: [UInt8] = []
        text.reserveCapacity(prompt.reduce(0) { $0 + $1.text.utf8.count })
        var templates: [Range<Int>] = []
        for segment in prompt {
            let start = text.count
            text += segment.text.utf8
            guard segment.isTemplate, start < text.count else { continue }
            if templates.last?.upperBound == start {
                templates[templates.count - 1] =
                    templates[templates.count - 1].lowerBound..<text.count
            } else {
                templates.append(start..<text.count)
            }
        }
        var ids = ends == .both ? parts.opening : []
        var pieces = rawTokens.split(text, 0..<text.count, templates: templates)
        var closing = parts.closing
        if case .token(let id)? = pieces.first {
            if ids == [id] || languageIDs.contains(id) && languageIDs.isSuperset(of: ids) {
                ids = []
            }
            // Some models take the token of the language behind the text.
            if languageIDs.contains(id), let place = closing.firstIndex(where: languageIDs.contains)
            {
                closing[place] = id
                pieces.removeFirst()
            }
        }
        caches.with { cache in
            for piece in pieces {
                switch piece {
                case .token(let id): ids.append(id)
                case .text(var range):
                    if let tag = languageTag(text, range, templates: templates) {
                        ids.append(tag.id)
                        range = tag.end..<range.upperBound
                    }
                    append(
                        Array(text[range]), isStart: range.lowerBound == 0, cache: cache, to: &ids)
                }
            }
        }
        if ends != .none { ids += closing }
        return ids
    }

    /// The token of the language tag that a template starts with, and where the text goes on.
    private func languageTag(
        _ text: [UInt8], _ range: Range<Int>, templates: [Range<Int>]
    ) -> (id: Int32, end: Int)? {
        guard parts.hasLanguageTags, text[range].starts(with: ">>".utf8),
            case .numberedPieces(_, let vocabulary, let unknownID) = parts.model,
            let close = range.dropLast().first(where: {
                text[$0] == UInt8(ascii: "<") && text[$0 + 1] == UInt8(ascii: "<")
            }), templates.contains(where: { $0.contains(range.lowerBound..<close + 2) })
        else { return nil }
        return (vocabulary.id(of: text[range.lowerBound..<close + 2]) ?? unknownID, close + 2)
    }

    private func append(
        _ text: [UInt8], isStart: Bool, cache: WordCache, to ids: inout [Int32]
    ) {
        switch parts.model {
        case .sentencePiece(let model): return model.append(text, to: &ids)
        case .numberedPieces(let model, let vocabulary, let unknownID):
            return model.append(text, vocabulary: vocabulary, unknownID: unknownID, to: &ids)
        case .bytePair, .unigram: break
        }
        let text = parts.normalizers.reduce(text) { $1.apply(to: $0) }
        guard !normalizedTokens.isEmpty else {
            return appendWords(text, isStart: isStart, cache: cache, to: &ids)
        }
        for piece in normalizedTokens.split(text, 0..<text.count, templates: []) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let range):
                appendWords(
                    Array(text[range]), isStart: isStart && range.lowerBound == 0, cache: cache,
                    to: &ids)
            }
        }
    }

    private func appendWords(
        _ text: [UInt8], isStart: Bool, cache: WordCache, to ids: inout [Int32]
    ) {
        var cut = CutText(text, isStart: isStart)
        for step in parts.preTokenizers { cut.apply(step) }
        if let wordMark { cut.splitBeforeRuns(of: wordMark) }
        for word in cut.words {
            cache.append(cut.text[word], to: &ids) { word, ids in
                switch parts.model {
                case .bytePair(let model): model.append(word, to: &ids)
                case .unigram(let model): model.append(word, to: &ids)
                case .sentencePiece, .numberedPieces: break
                }
            }
        }
    }

    package func decode(_ ids: [Int32]) -> String {
        if case .sentencePiece(let model) = parts.model {
            return model.decode(
                ids.filter { !specialIDs.contains($0) }, added: parts.output.textOfID)
        }
        return parts.output.text(of: ids)
    }

    package func ids(ofPieces pieces: [String]) -> [Int32?] {
        var idOfPiece: [[UInt8]: Int32] = [:]
        for (id, piece) in parts.spelling.enumerated() {
            if let piece { idOfPiece[Array(piece.utf8)] = Int32(id) }
        }
        return pieces.map { idOfPiece[Array($0.utf8)] }
    }

    private static func wordMark(of model: Model) -> [UInt8]? {
        let mark = Array("\u{2581}".utf8)
        let pieces: PieceTable
        switch model {
        case .bytePair(let model) where !model.isByteLevel: pieces = model.pieces
        case .unigram(let model): pieces = model.pieces
        case .bytePair, .sentencePiece, .numberedPieces: return nil
        }
        guard pieces.id(of: mark[...]) != nil else { return nil }
        for id in pieces.places.indices {
            guard let piece = pieces[Int32(id)] else { continue }
            var rest = piece
            while rest.starts(with: mark) { rest = rest.dropFirst(mark.count) }
            if rest.indices.contains(where: { rest[$0...].starts(with: mark) }) { return nil }
        }
        return mark
    }
}

extension CutText {
    /// Cuts every word before each run of marks that stands behind another character.
    mutating func splitBeforeRuns(of mark: [UInt8]) {
        var found: [Range<Int>] = []
        for word in words {
            var start = word.lowerBound
            var index = start
            var isInRun = true
            while index < word.upperBound {
                let end = index + mark.count
                if text[index] == mark[0], end <= word.upperBound, text[index..<end] == mark[...] {
                    if !isInRun {
                        found.append(start..<index)
                        start = index
                    }
                    isInRun = true
                    index = end
                } else {
                    isInRun = false
                    index += 1
                }
            }
            if start < index { found.append(start..<index) }
        }
        words = found
    }
}
