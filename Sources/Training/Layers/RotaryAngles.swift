internal import Checkpoints
internal import Glibc
internal import Inference

/// The rotations of queries and keys by their positions (RoFormer, arXiv 2104.09864), for the
/// tokens of one pass.
struct RotaryAngles {
    /// The position of each token.
    private let positions: [Int]
    /// [positions, headWidth / 2].
    private let cosines: Rows
    private let sines: Rows

    init(_ rotation: Rotation, headWidth: Int, positions: [Int], _ tape: Tape) {
        self.positions = positions
        let frequencies = rotation.frequencies(headWidth: headWidth)
        let count = (positions.max() ?? -1) + 1
        (cosines, sines) = (tape.rows(count, headWidth / 2), tape.rows(count, headWidth / 2))
        for position in 0..<count {
            for (pair, frequency) in frequencies.enumerated() {
                let angle = Float(position) * frequency
                (cosines[position][pair], sines[position][pair]) = (cosf(angle), sinf(angle))
            }
        }
    }

    /// Turns every head of each row in place. With `isBack`, it turns them back, which is the
    /// backward pass for gradients.
    func turn(_ rows: Rows, isBack: Bool = false) {
        let half = cosines.width
        let direction: Float = isBack ? -1 : 1
        for (row, position) in positions.enumerated() {
            let (cosine, sine) = (cosines[position], sines[position])
            for head in 0..<rows.width / (2 * half) {
                let first = rows[row] + head * 2 * half
                let second = first + half
                for pair in 0..<half {
                    let (a, b) = (first[pair], second[pair])
                    let turned = direction * sine[pair]
                    first[pair] = a * cosine[pair] - b * turned
                    second[pair] = b * cosine[pair] + a * turned
                }
            }
        }
    }
}
