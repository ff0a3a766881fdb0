internal import Foundation
internal import Jobs
internal import Tokenizers

/// The only tokens that a job type's outputs may be made of, read from a file. Each line holds the
/// number of a token, or a piece as the decoder's tokenizer spells it. A line of digits is a
/// number. Empty lines are ignored.
struct Shortlist {
    let tokens: [Int32]

    /// The most bytes of a file. A list of all pieces of the largest vocabularies takes 3 MB.
    private static let largestFile = 16_000_000

    /// - Parameter vocabulary: the number of tokens that the decoder's head knows.
    /// - Throws: `ShortlistError`.
    init(path: String, tokenizer: any Tokenizer, vocabulary: Int) throws(ShortlistError) {
        func error(_ expected: String, _ found: String, line: Int? = nil) -> ShortlistError {
            ShortlistError(path: path, line: line, expected: expected, found: found)
        }
        guard let file = FileHandle(forReadingAtPath: path),
            let data = try? file.read(upToCount: Self.largestFile + 1)
        else { throw error("a file that can be read", "none, or an empty one") }
        guard data.count <= Self.largestFile else {
            throw error("at most \(Self.largestFile) bytes", "more")
        }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw error("UTF-8", "other bytes")
        }
        let lines = text.withoutByteOrderMark.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline
        )
        .enumerated().filter { !$0.element.isEmpty }
        .map { (number: $0.offset + 1, text: String($0.element)) }
        guard !lines.isEmpty else { throw error("at least one token", "none") }
        let ids = tokenizer.ids(ofPieces: lines.map(\.text))
        var tokens: [Int32] = []
        for (line, piece) in zip(lines, ids) {
            let isNumber = line.text.utf8.allSatisfy { (0x30...0x39).contains($0) }
            guard let id = isNumber ? Int(line.text) : piece.map(Int.init) else {
                throw error(
                    isNumber
                        ? "a token" : "a token's number, or a piece of the decoder's tokenizer",
                    "another text", line: line.number)
            }
            guard id < vocabulary else {
                throw error(
                    "a token below \(vocabulary), the decoder's vocabulary", "\(id)",
                    line: line.number)
            }
            tokens.append(Int32(id))
        }
        self.tokens = tokens
    }
}

/// A shortlist that cannot be used.
struct ShortlistError: Error, CustomStringConvertible {
    let path: String
    /// Counted from 1; nil for the file as a whole.
    let line: Int?
    let expected: String
    let found: String

    var description: String {
        let place = line.map { "\(path):\($0)" } ?? path
        return "\(place): expected the shortlist to hold \(expected), found \(found)"
    }
}
