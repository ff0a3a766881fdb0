/// The runs of `order` neighbours in a sequence, and how often each occurs.
struct NGrams {
    private(set) var counts: [UInt128: Int] = [:]
    let total: Int

    /// - Parameter bits: the bits of one element; `order` elements fit into 128 bits.
    init(_ elements: [UInt32], order: Int, bits: Int) {
        precondition(order * bits <= 128, "\(order) elements of \(bits) bits")
        total = max(0, elements.count - order + 1)
        let mask = order * bits == 128 ? UInt128.max : (1 << UInt128(order * bits)) - 1
        var run: UInt128 = 0
        for (index, element) in elements.enumerated() {
            run = (run << UInt128(bits) | UInt128(element)) & mask
            if index >= order - 1 { counts[run, default: 0] += 1 }
        }
    }

    /// How many occurrences both have.
    func matches(_ other: NGrams) -> Int {
        counts.reduce(0) { $0 + min($1.value, other.counts[$1.key] ?? 0) }
    }
}

/// Gives each word a number, so that numbers can be compared in place of words.
struct Vocabulary {
    /// By bytes, as in Python. For Swift, texts of different code points can be equal.
    private var numbers: [[UInt8]: UInt32] = [:]

    mutating func numbers(of words: [String]) -> [UInt32] {
        words.map { word in
            let word = Array(word.utf8)
            let number = numbers[word] ?? UInt32(numbers.count)
            numbers[word] = number
            return number
        }
    }
}

/// Texts as Python sees them: code points, not characters, so that the reference packages agree.
typealias Scalars = String.UnicodeScalarView

extension Unicode.Scalar {
    /// What Python's `str.split()` splits at.
    var isPythonSpace: Bool { properties.isWhitespace || (0x1C...0x1F).contains(value) }
    var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}

extension Sequence<Unicode.Scalar> {
    /// Python's `str.split()`.
    var pythonWords: [String] {
        var words: [String] = []
        var word = Scalars()
        for scalar in self {
            if !scalar.isPythonSpace {
                word.append(scalar)
            } else if !word.isEmpty {
                words.append(String(word))
                word = Scalars()
            }
        }
        if !word.isEmpty { words.append(String(word)) }
        return words
    }
}
