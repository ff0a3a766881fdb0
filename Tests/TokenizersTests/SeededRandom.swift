/// SplitMix64: the same numbers in every run, from a seed that a failing test prints.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Any Unicode: half ASCII, control characters and unassigned ones included.
    mutating func text(scalars count: Int) -> String {
        var text = ""
        while text.unicodeScalars.count < count {
            let value = UInt32(next() % (next() % 2 == 0 ? 0x80 : 0x11_0000))
            if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
        }
        return text
    }
}
