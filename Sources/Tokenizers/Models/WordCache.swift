internal import Synchronization

/// The ids of words that came up lately. Words repeat within a text and between texts, and most
/// of the time of a byte-pair encoding goes into its merges.
///
/// `@unchecked Sendable`: a pool lends it to one call at a time.
final class WordCache: @unchecked Sendable {
    private struct Entry {
        var hash: UInt64
        var word: Range<Int32>
        var ids: Range<Int32>
    }

    /// Open addressing; an empty range of bytes is a free place.
    private var entries: [Entry]
    private var bytes: [UInt8] = []
    private var ids: [Int32] = []
    private var count = 0

    private static let places = 32_768
    private static let mostWords = places * 5 / 8
    private static let longestWord = 64
    private static let free = Entry(hash: 0, word: 0..<0, ids: 0..<0)

    init() { entries = [Entry](repeating: Self.free, count: Self.places) }

    /// Appends the ids of a word. `find` gives those that are not known yet.
    func append(
        _ word: ArraySlice<UInt8>, to found: inout [Int32],
        find: (ArraySlice<UInt8>, inout [Int32]) -> Void
    ) {
        guard word.count <= Self.longestWord else { return find(word, &found) }
        let hash = PieceHash(word).finished
        var place = Int(truncatingIfNeeded: hash) & (Self.places - 1)
        while !entries[place].word.isEmpty {
            let entry = entries[place]
            if entry.hash == hash, matches(word, at: entry.word) {
                return found += ids[Int(entry.ids.lowerBound)..<Int(entry.ids.upperBound)]
            }
            place = (place + 1) & (Self.places - 1)
        }
        let start = found.count
        find(word, &found)
        if count == Self.mostWords {
            clear()
            place = Int(truncatingIfNeeded: hash) & (Self.places - 1)
        }
        count += 1
        entries[place] = Entry(
            hash: hash, word: Int32(bytes.count)..<Int32(bytes.count + word.count),
            ids: Int32(ids.count)..<Int32(ids.count + found.count - start))
        bytes += word
        ids += found[start...]
    }

    private func matches(_ word: ArraySlice<UInt8>, at place: Range<Int32>) -> Bool {
        bytes[Int(place.lowerBound)..<Int(place.upperBound)] == word
    }

    private func clear() {
        for index in entries.indices { entries[index] = Self.free }
        bytes.removeAll(keepingCapacity: true)
        ids.removeAll(keepingCapacity: true)
        count = 0
    }
}

/// As many caches as the most calls that ran at a time.
final class WordCachePool: Sendable {
    private let idle = Mutex<[WordCache]>([])

    func with(_ body: (WordCache) -> Void) {
        let cache = idle.withLock { $0.popLast() } ?? WordCache()
        body(cache)
        idle.withLock { $0.append(cache) }
    }
}
