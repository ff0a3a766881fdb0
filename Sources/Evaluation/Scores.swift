internal import Scoring

/// How good a variant's outputs are, by each score, 0 to 100.
package struct Scores: Sendable {
    package enum Kind: String, Sendable, CaseIterable, Encodable, CodingKeyRepresentable {
        case rouge1, rouge2, rougeL, chrf, bleu

        package var name: String {
            switch self {
            case .rouge1: "ROUGE-1"
            case .rouge2: "ROUGE-2"
            case .rougeL: "ROUGE-L"
            case .chrf: "chrF"
            case .bleu: "BLEU"
            }
        }
    }

    private let rouge: [ROUGE.Scores]
    private let bleu: [BLEU]
    private let chrf: [CharacterF]

    /// An output that is missing counts as an empty one.
    package init(_ outputs: [String?], _ pairs: [Pair], stems: Bool) {
        let written = zip(outputs, pairs).map { ($0 ?? "", $1.target) }
        rouge = written.map { ROUGE.scores(target: $1, prediction: $0, stems: stems) }
        bleu = written.map { BLEU(hypothesis: $0, reference: $1) }
        chrf = written.map { CharacterF(hypothesis: $0, reference: $1) }
    }

    private init(rouge: [ROUGE.Scores], bleu: [BLEU], chrf: [CharacterF]) {
        self.rouge = rouge
        self.bleu = bleu
        self.chrf = chrf
    }

    /// These scores, but with those of `other` for `documents`.
    package func replacing(_ documents: Set<Int>, by other: Scores) -> Scores {
        func mixed<Value>(_ own: [Value], _ others: [Value]) -> [Value] {
            own.indices.map { documents.contains($0) ? others[$0] : own[$0] }
        }
        return Scores(
            rouge: mixed(rouge, other.rouge), bleu: mixed(bleu, other.bleu),
            chrf: mixed(chrf, other.chrf))
    }

    package var documents: Range<Int> { rouge.indices }

    /// ROUGE: the mean of the documents' F-measures. BLEU and chrF: of the documents as a corpus.
    package func score(_ kind: Kind, of documents: some Collection<Int>) -> Double {
        func mean(_ measure: (ROUGE.Scores) -> ROUGE.Score) -> Double {
            let sum = documents.reduce(0) { $0 + measure(rouge[$1]).fMeasure }
            return 100 * sum / Double(max(documents.count, 1))
        }
        switch kind {
        case .rouge1: return mean(\.one)
        case .rouge2: return mean(\.two)
        case .rougeL: return mean(\.longest)
        case .bleu: return documents.reduce(into: BLEU()) { $0 += bleu[$1] }.score
        case .chrf: return documents.reduce(into: CharacterF()) { $0 += chrf[$1] }.score
        }
    }
}
