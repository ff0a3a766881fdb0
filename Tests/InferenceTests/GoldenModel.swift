import Checkpoints
import TestSupport

@testable import Inference

/// A golden model, opened as the product opens it.
struct GoldenModel {
    let reader: Reader
    let bridge: Bridge
    let writer: any ResponseModel

    /// - Parameter folder: what holds the golden's folders; the fixture unless given.
    init(_ name: String, format: WeightFormat = .float32, in folder: String? = nil) throws {
        let folder = folder ?? Fixtures.path("golden/\(name)")
        let llm = try ModelFolder(path: folder + "/llm")
        reader = try Reader(llm, format: format)
        guard name.hasPrefix("hybrid") else {
            bridge = .identity
            writer = try Writers.own(llm, format: format)
            return
        }
        let slm = try ModelFolder(path: folder + "/slm")
        let manifest = try SLMManifest(folder: slm.path)
        bridge = try Bridge(manifest, slm: slm, reader: reader)
        writer = try Writers.slm(slm, manifest: manifest, format: format)
    }

    func read(_ prompts: [[Int32]]) -> [PromptStates] {
        reader.read(prompts.map { ($0, bridge) }, workspace: Workspace())
    }

    /// Each prompt's response, all written by one replica.
    func write(_ states: [PromptStates], options: DecodingOptions) -> [Response?] {
        let replica = DecoderReplica<Int>(model: writer)
        replica.admit(
            states.enumerated().map { .init(id: $0.offset, states: $0.element, options: options) })
        var responses = [Response?](repeating: nil, count: states.count)
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
