import Checkpoints
import Foundation
import TestSupport

@testable import Inference

/// A golden model, opened as the product opens it.
struct GoldenModel {
    let encoder: Encoder
    let projector: Projector
    let decoder: any DecoderModel

    /// - Parameter folder: holds the folders of the golden model; nil for the fixture.
    init(_ name: String, format: WeightFormat = .float32, in folder: String? = nil) throws {
        let folder = folder ?? Fixtures.model(name)
        let llm = try ModelFolder(path: folder + "/llm")
        let pool = WeightPool()
        guard name.hasPrefix("hybrid") else {
            encoder = try Encoder(llm, format: format, pool: pool)
            projector = .identity
            decoder = try Decoders.own(llm, format: format, pool: pool)
            return
        }
        let slm = try ModelFolder(path: folder + "/slm")
        let manifest = try SLMManifest(folder: slm.path)
        encoder = try Encoder(llm, format: format, depth: manifest.llmDepth, pool: pool)
        projector = try Projector(manifest, slm: slm, encoder: encoder)
        decoder = try Decoders.slm(
            slm, manifest: manifest, llm: llm, format: format, pool: pool)
    }

    /// A T5 that ends its responses with other tokens than its configuration says.
    init(_ name: String, endIDs: [Int32]) throws {
        let copy = try ScratchFolder()
        try copy.copy(fixture: "golden/\(name)/llm")
        let file = URL(filePath: copy.path + "/llm/config.json")
        var fields =
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        fields["eos_token_id"] = endIDs
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        // Open files stay readable after the scratch folder is removed.
        try self.init(name, in: copy.path)
    }

    func encode(_ prompts: [[Int32]]) -> [PromptStates] {
        encoder.encode(prompts.map { ($0, projector) }, workspace: Workspace())
    }

    /// Each prompt's response, all written by one replica.
    func write(
        _ states: [PromptStates], options: DecodingOptions, head: OutputHead? = nil
    ) -> [Response?] {
        write(states.map { ($0, options, head) })
    }

    func write(
        _ requests: [(states: PromptStates, options: DecodingOptions, head: OutputHead?)]
    ) -> [Response?] {
        let replica = DecoderReplica(model: decoder)
        replica.admit(
            requests.enumerated().map { index, request in
                .init(
                    id: index, states: request.states, options: request.options,
                    head: request.head)
            })
        var responses = [Response?](repeating: nil, count: requests.count)
        while replica.count > 0 {
            for (id, response) in replica.step() { responses[id] = response }
        }
        return responses
    }
}

/// |found − expected| ≤ 1e-4 of the largest expected magnitude.
func agrees(_ found: [Float], _ expected: [Float]) -> Bool {
    let scale = expected.map(abs).max() ?? 0
    return found.count == expected.count
        && zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-4 * max(scale, 1e-3) }
}
