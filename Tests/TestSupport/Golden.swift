import Foundation

/// What transformers computed for one golden model: see Tests/Fixtures/golden/README.md.
package struct Golden: Decodable {
    package struct Case: Decodable {
        package let document: String
        package let inputIds: [Int32]
        package let encoderFirst4: [[Float]]?
        package let encoderAbsMean: Float?
        package let firstStepTopIds: [Int]
        package let firstStepTopLogits: [Float]
        package let greedyIds: [Int32]
        package let beam4Ids: [Int32]?
        package let beam4Score: Float?
    }

    package let cases: [Case]

    /// - Parameter name: one of `Fixtures.goldens`.
    package static func load(_ name: String) throws -> Golden {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.path("golden/\(name)/expected.json")))
        return try decoder.decode(Golden.self, from: data)
    }
}

/// The same numbers on every machine for the same seed.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    /// Steele, Lea and Flood's SplitMix64.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
