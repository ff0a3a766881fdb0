internal import Glibc

/// The counts of BLEU (Papineni et al. 2002), which add up over a corpus. They and the score are
/// those of PyPI's sacreBLEU 2.6.0 with its default 13a tokenizer and exponential smoothing, for
/// one reference.
package struct BLEU: Sendable, Equatable {
    package static let orders = 4

    private var hypothesisLength = 0
    private var referenceLength = 0
    /// By order.
    private var matches = [Int](repeating: 0, count: orders)
    private var totals = [Int](repeating: 0, count: orders)

    /// The counts of an empty corpus.
    package init() {}

    /// The counts of one segment.
    package init(hypothesis: String, reference: String) {
        var vocabulary = Vocabulary()
        let hypothesis = vocabulary.numbers(of: Self.tokens(hypothesis))
        let reference = vocabulary.numbers(of: Self.tokens(reference))
        hypothesisLength = hypothesis.count
        referenceLength = reference.count
        for order in 1...Self.orders {
            let runs = NGrams(hypothesis, order: order, bits: 32)
            matches[order - 1] = runs.matches(NGrams(reference, order: order, bits: 32))
            totals[order - 1] = runs.total
        }
    }

    package static func += (left: inout BLEU, right: BLEU) {
        left.hypothesisLength += right.hypothesisLength
        left.referenceLength += right.referenceLength
        for order in 0..<orders {
            left.matches[order] += right.matches[order]
            left.totals[order] += right.totals[order]
        }
    }

    /// 0 to 100, of a corpus.
    package var score: Double { score(withEffectiveOrder: false) }
    /// 0 to 100, of one segment. Orders for which the segment is too short do not count.
    package var sentenceScore: Double { score(withEffectiveOrder: true) }

    private func score(withEffectiveOrder isEffective: Bool) -> Double {
        guard matches.contains(where: { $0 > 0 }) else { return 0 }
        var logarithms = [Double](repeating: -9_999_999_999, count: Self.orders)
        var order = 0
        // Chen and Cherry 2014, method 3: each order without a match counts half of the last one.
        var smoothing = 1.0
        while order < Self.orders, totals[order] > 0 {
            var matched = Double(matches[order])
            if matched == 0 {
                smoothing *= 2
                matched = 1 / smoothing
            }
            logarithms[order] = log(100 * matched / Double(totals[order]))
            order += 1
        }
        let counted = isEffective ? order : Self.orders
        let brevity =
            hypothesisLength < referenceLength
            ? exp(1 - Double(referenceLength) / Double(hypothesisLength)) : 1
        return brevity * exp(logarithms.prefix(counted).reduce(0, +) / Double(counted))
    }

    /// Splits a text like mteval-v13a's tokenizer, as sacreBLEU implements it.
    static func tokens(_ text: String) -> [String] {
        var scalars = Array(text.unicodeScalars)
        while scalars.last?.isPythonSpace == true { scalars.removeLast() }
        for (old, new) in [
            ("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", "\""), ("&amp;", "&"),
            ("&lt;", "<"), ("&gt;", ">"),
        ] {
            scalars.replaceAll(Array(old.unicodeScalars), with: Array(new.unicodeScalars))
        }
        scalars = [" "] + scalars + [" "]
        scalars = scalars.flatMap { $0.isSymbolOf13a ? [" ", $0, " "] : [$0] }
        func isPoint(_ scalar: Unicode.Scalar) -> Bool { scalar == "." || scalar == "," }
        scalars.replacePairs {
            !$0.isASCIIDigit && isPoint($1)
        } with: {
            [$0, " ", $1, " "]
        }
        scalars.replacePairs {
            isPoint($0) && !$1.isASCIIDigit
        } with: {
            [" ", $0, " ", $1]
        }
        scalars.replacePairs {
            $0.isASCIIDigit && $1 == "-"
        } with: {
            [$0, " ", $1, " "]
        }
        return scalars.pythonWords
    }
}

extension Unicode.Scalar {
    /// ASCII's symbols except ' , - and . ; the space counts as a symbol.
    fileprivate var isSymbolOf13a: Bool {
        switch value {
        case 0x20...0x26, 0x28...0x2B, 0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}

extension [Unicode.Scalar] {
    fileprivate mutating func replaceAll(_ old: [Unicode.Scalar], with new: [Unicode.Scalar]) {
        guard contains(old[0]) else { return }
        var result: [Unicode.Scalar] = []
        var index = 0
        while index < count {
            if self[index...].starts(with: old) {
                result += new
                index += old.count
            } else {
                result.append(self[index])
                index += 1
            }
        }
        self = result
    }

    /// As a regular expression of two characters does: from the left, without overlap.
    fileprivate mutating func replacePairs(
        _ matches: (Unicode.Scalar, Unicode.Scalar) -> Bool,
        with new: (Unicode.Scalar, Unicode.Scalar) -> [Unicode.Scalar]
    ) {
        var result: [Unicode.Scalar] = []
        var index = 0
        while index < count {
            if index + 1 < count, matches(self[index], self[index + 1]) {
                result += new(self[index], self[index + 1])
                index += 2
            } else {
                result.append(self[index])
                index += 1
            }
        }
        self = result
    }
}
