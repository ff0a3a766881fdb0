import CSentencePiece
import FoundationEssentials

/// SentencePiece through the system's library, as T5, mT5 and similar models use it.
final class SentencePieceModel: Sendable {
    /// The open model: immutable, so every thread may use it. Owned, closed in `deinit`.
    private nonisolated(unsafe) let model: OpaquePointer
    let endID: Int32
    let unknownID: Int32
    /// By id: whether the piece is text, not a special token.
    let isText: [Bool]
    /// Longer texts, in bytes, are cut into chunks; nil where the model's pieces span words.
    private let chunkBytes: Int?
    private let letters: UnspacedLetters

    /// Opens a spiece.model.
    ///
    /// The library takes about 200 bytes of memory per byte of text. It also adds up the scores of
    /// the whole text in Float32, so that the end of a text of megabytes is cut into the wrong
    /// pieces. To bound both, long texts are first cut into chunks: between words or, in scripts
    /// that have no blanks, between two letters that no piece holds beside each other.
    ///
    /// - Parameter chunkBytes: longer texts are cut at the next such place.
    /// - Throws: `TokenizerError`.
    init(path: String, chunkBytes: Int = 65_536) throws {
        let data = try readTokenizerBytes(path)
        guard data.withUnsafeBytes(SentencePieceCheck.isSafe) else {
            throw TokenizerError(
                path: path,
                problem: .malformed(
                    "expected a SentencePiece model, found other or damaged data; copy or "
                        + "download it again"))
        }
        var message = [CChar](repeating: 0, count: 256)
        let opened = data.withUnsafeBytes {
            l2s_spm_open($0.baseAddress, $0.count, &message, message.count)
        }
        guard let opened else {
            let reason = String(
                decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            throw TokenizerError(
                path: path,
                problem: .malformed(
                    "expected a SentencePiece model; the library says: \(reason)"))
        }
        model = opened
        endID = l2s_spm_end_id(opened)
        unknownID = l2s_spm_unknown_id(opened)
        let ids = 0..<l2s_spm_size(opened)
        isText = ids.map { l2s_spm_kind_of(opened, $0) == L2S_SPM_NORMAL }
        self.chunkBytes = Self.keepsWordsApart(opened, ids: ids) ? chunkBytes : nil
        letters = UnspacedLetters(ids.lazy.map { String(cString: l2s_spm_piece(opened, $0)) })
        guard ids.contains(endID), ids.contains(unknownID) else {
            throw TokenizerError(
                path: path,
                problem: .malformed(
                    "expected the model to define an end token and an unknown token"))
        }
    }

    deinit { l2s_spm_close(model) }

    /// By id: its piece, as the model spells it.
    var spelling: [String] {
        isText.indices.map { String(cString: l2s_spm_piece(model, Int32($0))) }
    }

    /// Appends the ids of valid UTF-8, without tokens at the ends.
    func append(_ text: [UInt8], to ids: inout [Int32]) {
        text.withUnsafeBufferPointer { bytes in
            for chunk in chunks(of: bytes) {
                let first = ids.count
                guard let letter = letterBefore(chunk.lowerBound, in: bytes) else {
                    appendIDs(of: UnsafeBufferPointer(rebasing: bytes[chunk]), to: &ids)
                    continue
                }
                // The library is also given the letter before the cut, so that it puts no mark of a
                // word at the cut. The ids of that letter are removed again.
                appendIDs(
                    of: UnsafeBufferPointer(rebasing: bytes[letter.lowerBound..<chunk.upperBound]),
                    to: &ids)
                var known: [Int32] = []
                appendIDs(of: UnsafeBufferPointer(rebasing: bytes[letter]), to: &known)
                ids.removeSubrange(first..<min(first + known.count, ids.count))
            }
        }
    }

    /// The parts of a text that the library is given one at a time.
    func chunks(of text: String) -> [String] {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBufferPointer { chunks(of: $0) }.map {
            String(decoding: bytes[$0], as: UTF8.self)
        }
    }

    private func chunks(of bytes: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        var chunks: [Range<Int>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let end = chunkBytes.flatMap { boundary(in: rest, after: $0) } ?? rest.endIndex
            chunks.append(rest.startIndex..<end)
            rest = rest[end...]
        }
        return chunks
    }

    /// Appends the ids that `vocabulary` gives to the pieces of valid UTF-8.
    func append(
        _ text: [UInt8], vocabulary: PieceTable, unknownID: Int32, to ids: inout [Int32]
    ) {
        text.withUnsafeBytes { bytes in
            var found: UnsafeMutablePointer<CChar>?
            let count = l2s_spm_encode_pieces(
                model, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count, &found)
            defer { l2s_spm_free(found) }
            guard count >= 0, let found else { return ids.append(unknownID) }
            let pieces = UnsafeRawBufferPointer(start: found, count: Int(count))
            for piece in Array(pieces).split(separator: 0) {
                ids.append(vocabulary.id(of: piece) ?? unknownID)
            }
        }
    }

    /// The text of ids.
    ///
    /// - Parameter added: by id, the texts of tokens beside the model's own. A word behind such a
    ///   token keeps the blank in front of it.
    func decode(_ ids: [Int32], added: [[UInt8]?]) -> String {
        var text: [UInt8] = []
        var run: [Int32] = []
        var isFirst = true
        func flush() {
            guard let first = run.first else { return }
            if !isFirst, l2s_spm_piece(model, first).map(Self.startsWithMark) == true {
                text.append(UInt8(ascii: " "))
            }
            text += decoded(run)
            isFirst = false
            run = []
        }
        for id in ids {
            if added.indices.contains(Int(id)), let other = added[Int(id)] {
                flush()
                text += other
                isFirst = false
            } else if isText.indices.contains(Int(id)), isText[Int(id)] {
                run.append(id)
            }
        }
        flush()
        return String(decoding: text, as: UTF8.self)
    }

    private static func startsWithMark(_ piece: UnsafePointer<CChar>) -> Bool {
        String(cString: piece).hasPrefix("\u{2581}")
    }

    private func decoded(_ pieces: [Int32]) -> [UInt8] {
        var text: UnsafeMutablePointer<CChar>?
        let count = l2s_spm_decode(model, pieces, pieces.count, &text)
        defer { l2s_spm_free(text) }
        guard count > 0, let text else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: Int(count)))
    }

    private func appendIDs(of text: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
        var found: UnsafeMutablePointer<Int32>?
        let count = l2s_spm_encode(
            model, UnsafeRawBufferPointer(text).bindMemory(to: CChar.self).baseAddress, text.count,
            &found)
        defer { l2s_spm_free(found) }
        // The library fails only for lack of memory. The text then becomes an unknown token.
        guard count >= 0, let found else { return ids.append(unknownID) }
        ids.append(contentsOf: UnsafeBufferPointer(start: found, count: Int(count)))
    }
}

extension SentencePieceModel {
    /// Whether "a b" is always cut like "a" and "b". This holds where no piece reaches over a
    /// space, and where white space around a text is dropped and one mark put in front of it.
    private static func keepsWordsApart(_ model: OpaquePointer, ids: Range<Int32>) -> Bool {
        let mark = "\u{2581}"
        var hasMark = false
        for id in ids {
            let piece = String(cString: l2s_spm_piece(model, id))
            if piece == mark { hasMark = true }
            if piece.dropFirst().contains(mark) || piece.contains(" ") { return false }
        }
        func encode(_ text: String) -> [Int32] {
            var found: UnsafeMutablePointer<Int32>?
            let count = l2s_spm_encode(model, text, text.utf8.count, &found)
            defer { l2s_spm_free(found) }
            return count > 0 ? Array(UnsafeBufferPointer(start: found, count: Int(count))) : []
        }
        return hasMark && encode(" a  b ") == encode("a") + encode("b")
    }

    /// Where a text may be cut behind its first `length` bytes; nil when there is no such place.
    private func boundary(in text: Slice<UnsafeBufferPointer<UInt8>>, after length: Int) -> Int? {
        guard length > 0, text.count > length else { return nil }
        let letter = letters.boundary(in: text, after: length)
        return wordBoundary(in: text[..<(letter ?? text.endIndex)], after: length) ?? letter
    }

    /// The letter before a cut; nil at the start of the text, and for a cut at a blank.
    private func letterBefore(
        _ index: Int, in text: UnsafeBufferPointer<UInt8>
    ) -> Range<Int>? {
        guard index > 0, index < text.count, text[index] != UInt8(ascii: " ") else { return nil }
        var start = index - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return start..<index
    }

    /// The position of the first space behind `length` bytes that stands between two letters, so
    /// that no normalisation rule can join both sides. Nil when there is none.
    private func wordBoundary(in text: Slice<UnsafeBufferPointer<UInt8>>, after length: Int) -> Int?
    {
        guard text.count > length + 1 else { return nil }
        func isLetter(_ range: Range<Int>) -> Bool {
            ScalarKind.of(UTF8Text.scalar(in: Array(text[range]), at: 0).value).contains(.letter)
        }
        return (text.startIndex + length..<text.endIndex - 1).first { index in
            guard text[index] == UInt8(ascii: " ") else { return false }
            var start = index - 1
            while start > text.startIndex, text[start] & 0xC0 == 0x80 { start -= 1 }
            let end = index + 1 + UTF8Text.length(from: text[index + 1])
            return isLetter(start..<index) && isLetter(index + 1..<min(end, text.endIndex))
        }
    }
}
