internal import Jobs

/// Decides which labels are good enough to learn from. Only the pair itself counts, so every run
/// keeps the same pairs.
package struct PairFilter: Sendable {
    /// The allowed number of the target's characters for each character of the source.
    package var lengthRatio: ClosedRange<Double> = 0.01...3
    /// The largest share of pairs of neighbouring words that repeat an earlier pair of the target.
    package var maximumRepetition = 0.3

    package init() {}

    package enum Reason: String, Sendable, CaseIterable {
        case empty = "empty"
        case sourceCutOff = "source cut off"
        /// A worker would give the small model the parts, never the whole text.
        case sourceSplit = "source split into parts"
        case outputCutOff = "output cut off"
        case tooShort = "output too short for its source"
        case tooLong = "output too long for its source"
        case repetition = "repeats itself"
        case duplicate = "same source as another"
    }

    /// How much of its source a model read.
    package enum Reading: String, Sendable, Codable {
        case whole
        case cutOff
        case split

        package init(truncated: Bool, parts: Int) {
            self = parts > 1 ? .split : truncated ? .cutOff : .whole
        }
    }

    /// A label, with what is known about how it was made.
    package struct Candidate: Sendable {
        package let source: String
        package let target: String
        package let reading: Reading
        /// The output ended at the limit of tokens.
        package let isOutputCutOff: Bool

        package init(
            source: String, target: String, reading: Reading, isOutputCutOff: Bool
        ) {
            self.source = source
            self.target = target
            self.reading = reading
            self.isOutputCutOff = isOutputCutOff
        }
    }

    /// The first reason against a pair; nil for none.
    package func objection(to pair: Candidate) -> Reason? {
        let target = pair.target.split(whereSeparator: \.isWhitespace)
        guard pair.target.hasText, pair.source.hasText else {
            return .empty
        }
        switch pair.reading {
        case .whole: break
        case .cutOff: return .sourceCutOff
        case .split: return .sourceSplit
        }
        if pair.isOutputCutOff { return .outputCutOff }
        let ratio =
            Double(pair.target.unicodeScalars.count)
            / Double(pair.source.unicodeScalars.count)
        if ratio < lengthRatio.lowerBound { return .tooShort }
        if ratio > lengthRatio.upperBound { return .tooLong }
        return repetition(of: target) > maximumRepetition ? .repetition : nil
    }

    private func repetition(of words: [Substring]) -> Double {
        guard words.count > 1 else { return 0 }
        var seen: Set<[Substring]> = []
        for index in 1..<words.count { seen.insert([words[index - 1], words[index]]) }
        return 1 - Double(seen.count) / Double(words.count - 1)
    }
}

/// Counts the pairs that were kept, and by reason those that were not.
package struct PairTally: Sendable {
    package private(set) var kept = 0
    package private(set) var dropped: [PairFilter.Reason: Int] = [:]

    package init() {}

    package mutating func keep() { kept += 1 }
    package mutating func drop(_ reason: PairFilter.Reason) { dropped[reason, default: 0] += 1 }

    /// One line for each count, the most frequent reason first.
    package var lines: [String] {
        let reasons = PairFilter.Reason.allCases.filter { dropped[$0] != nil }
            .sorted { dropped[$0, default: 0] > dropped[$1, default: 0] }
        let all = kept + dropped.values.reduce(0, +)
        return ["kept \(kept) of \(all) pairs"]
            + reasons.map { "dropped \(dropped[$0, default: 0]): \($0.rawValue)" }
    }
}
