/// SplitMix64. From the same seed it makes the same numbers in every run. Tests print their seeds.
package struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A seed that is another one in every run. It is printed at once, so that it is known, too, if
    /// the test crashes or hangs.
    package static func newSeed(_ file: String = #fileID) -> UInt64 {
        let seed = UInt64.random(in: .min ... .max)
        print("\(file): seed \(seed)")
        return seed
    }
}
