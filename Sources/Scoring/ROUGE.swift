/// ROUGE (Lin 2004) as PyPI's rouge-score 0.1.2 computes it for one reference.
package enum ROUGE {
    /// Precision, recall and their harmonic mean, each 0 to 1.
    package struct Score: Sendable, Equatable {
        package let precision: Double
        package let recall: Double

        init(matches: Int, target: Int, prediction: Int) {
            precision = Double(matches) / Double(max(prediction, 1))
            recall = Double(matches) / Double(max(target, 1))
        }

        package var fMeasure: Double {
            precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0
        }
    }

    package struct Scores: Sendable, Equatable {
        /// ROUGE-1 (words), ROUGE-2 (pairs of words) and ROUGE-L (the longest common subsequence).
        package let one: Score
        package let two: Score
        package let longest: Score
    }

    /// - Parameter stems: whether words are compared by their English stems. They are not by
    ///   default, as in rouge-score, because targets may be in any language.
    package static func scores(
        target: String, prediction: String, stems: Bool = false
    ) -> Scores {
        let (target, prediction) = numbers(words(target, stems), words(prediction, stems))
        return Scores(
            one: ngramScore(target, prediction, order: 1),
            two: ngramScore(target, prediction, order: 2),
            longest: longest(target, prediction))
    }

    /// ROUGE-L between two outputs in any language, 0 to 1. Words are runs of letters, marks and
    /// digits of every script, and each ideograph is a word. rouge-score knows only a–z.
    package static func agreement(_ output: String, _ other: String) -> Double {
        guard output != other else { return 1 }
        let (left, right) = numbers(
            unicodeWords(output.lowercased()), unicodeWords(other.lowercased()))
        return longest(left, right).fMeasure
    }

    private static func numbers(_ left: [String], _ right: [String]) -> ([UInt32], [UInt32]) {
        var vocabulary = Vocabulary()
        return (vocabulary.numbers(of: left), vocabulary.numbers(of: right))
    }

    private static func ngramScore(
        _ target: [UInt32], _ prediction: [UInt32], order: Int
    ) -> Score {
        let targets = NGrams(target, order: order, bits: 32)
        let predictions = NGrams(prediction, order: order, bits: 32)
        return Score(
            matches: targets.matches(predictions), target: targets.total,
            prediction: predictions.total)
    }

    private static func longest(_ target: [UInt32], _ prediction: [UInt32]) -> Score {
        // The last row of the table of longest common subsequences of all prefixes.
        var row = [Int](repeating: 0, count: prediction.count + 1)
        for word in target {
            var diagonal = 0
            for (index, other) in prediction.enumerated() {
                let above = row[index + 1]
                row[index + 1] = word == other ? diagonal + 1 : max(above, row[index])
                diagonal = above
            }
        }
        return Score(
            matches: row[prediction.count], target: target.count, prediction: prediction.count)
    }

    /// Runs of a–z and 0–9 in the lower-cased text.
    private static func words(_ text: String, _ stems: Bool) -> [String] {
        let lowered = text.unicodeScalars.lazy.flatMap {
            $0.properties.lowercaseMapping.unicodeScalars
        }
        let words = lowered.split { !("a"..."z").contains($0) && !$0.isASCIIDigit }
            .map { String(Scalars($0)) }
        guard stems else { return words }
        return words.map { $0.utf8.count > 3 ? PorterStemmer.stem($0) : $0 }
    }

    private static func unicodeWords(_ text: String) -> [String] {
        var words: [String] = []
        var word = Scalars()
        func close() {
            if !word.isEmpty { words.append(String(word)) }
            word = Scalars()
        }
        for scalar in text.unicodeScalars {
            if scalar.properties.isIdeographic {
                close()
                words.append(String(scalar))
            } else if scalar.properties.isAlphabetic || scalar.isMarkOrNumber {
                word.append(scalar)
            } else {
                close()
            }
        }
        close()
        return words
    }
}

extension Unicode.Scalar {
    fileprivate var isMarkOrNumber: Bool {
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .letterNumber,
            .otherNumber:
            true
        default: false
        }
    }
}
