import Foundation

/// The values that transformers computed for one golden model; see Tests/Fixtures/golden/README.md.
package struct Golden: Decodable {
    package struct Case: Decodable {
        package let document: String
        package let inputIds: [Int32]
        package let encoderFirst4: [[Float]]?
        package let encoderAbsMean: Float?
        /// By the layer's number, counted from 1, or `last`.
        package let layerFirst4: [String: [[Float]]]?
        /// The first states of hybrids with a decoder-only LLM.
        package let llmFirst4: [[Float]]?
        package let projectedFirst4: [[Float]]?
        package let firstStepTopIds: [Int]
        package let firstStepTopLogits: [Float]
        package let greedyIds: [Int32]
        package let beam4Ids: [Int32]?
        package let beam4Score: Float?
        /// Outputs of bart under the settings that the file lists as `extra_settings`.
        package let extraIds: [Int32]?
    }

    package let cases: [Case]

    /// - Parameter name: one of `Fixtures.goldens`, `rotary`, `families` or `classic`.
    package static func load(_ name: String) throws -> Golden {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.model(name) + "/expected.json"))
        return try decoder.decode(Golden.self, from: data)
    }
}
