import Checkpoints
import Foundation
import Inference
import Settings
import TestSupport
import Testing

@testable import Training

/// What PyTorch computed for the golden models: see Tests/Fixtures/training/generate.py.
struct GoldenGradients: Decodable {
    struct Summary: Decodable {
        let norm: Double
        let products: [Double]
    }

    let loss: Double
    let gradients: [String: Summary]

    static func load(_ name: String) throws -> GoldenGradients {
        let data = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.path("training/gradients.json")))
        let all = try JSONDecoder().decode([String: GoldenGradients].self, from: data)
        let found = try #require(all[name])
        return GoldenGradients(
            loss: found.loss,
            gradients: Dictionary(
                uniqueKeysWithValues: found.gradients.map { ($0.withoutPrefix, $1) }))
    }
}

@Suite struct GradientTests {
    @Test(
        arguments: Fixtures.goldens + [
            "hybrid-t5-add+replace", "hybrid-gpt2-add+slm", "t5-v1.1+soft-prompt",
            "hybrid-gpt2-add+soft-prompt", "llama", "llama+adapter", "llama+layers",
            "llama+layers+reading", "llama+layers+reading+teacher",
        ])
    func gradientsAreThoseOfPyTorch(name: String) throws {
        let golden = try GoldenGradients.load(name)
        let model = try GoldenTrainee(name)
        let gradients = FloatBuffer(count: model.store.values.count)
        let loss = model.loss(gradients: gradients)
        #expect(abs(loss - golden.loss) < 1e-5 * golden.loss)
        #expect(Set(model.store.parameters.map(\.name)) == Set(golden.gradients.keys))
        for parameter in model.store.parameters {
            let expected = try #require(golden.gradients[parameter.name])
            let found = gradients.withFloats { Array($0[parameter.range]) }
            let norm = found.reduce(0.0) { $0 + Double($1 * $1) }.squareRoot()
            #expect(abs(norm - expected.norm) <= 1e-4 * expected.norm, "\(parameter.name)")
            for (found, wanted) in zip(Self.products(found), expected.products) {
                #expect(abs(found - wanted) <= 1e-4 * expected.norm, "\(parameter.name)")
            }
        }
    }

    /// The products with the sixteen vectors of signs that generate.py describes.
    private static func products(_ values: [Float]) -> [Double] {
        var sums = [Double](repeating: 0, count: 16)
        for (index, value) in values.enumerated() {
            let bits = mixed(UInt64(index + 1))
            for sign in 0..<16 {
                sums[sign] += bits >> sign & 1 == 1 ? Double(value) : -Double(value)
            }
        }
        return sums
    }
}

/// A golden model in training, and the batch that generate.py takes.
struct GoldenTrainee {
    let model: TrainableModel
    let store: ParameterStore
    let sources: [[Int32]]
    let targets: [[Int32]]
    private let cues: [[Int32]]
    private let distillation: Float
    private let states: FloatBuffer?
    private let embeddings: FloatBuffer?

    /// - Parameter golden: the name of a golden, and behind a `+` what is changed about it.
    init(_ golden: String) throws {
        let parts = golden.split(separator: "+").map(String.init)
        distillation = parts.contains("teacher") ? 0.4 : 0
        let (name, change) = (parts[0], parts.dropFirst().first)
        let cases = try Golden.load(name).cases.prefix(3)
        sources = cases.map(\.inputIds)
        let end: Int32 = name == "llama" ? 2 : 1
        targets = cases.enumerated().map { $1.greedyIds.prefix(5 + 3 * $0) + [end] }
        cues = cases.map { _ in change == "layers" ? [7, 300] : [] }
        let reading = parts.contains("reading") ? Fixtures.path("lora/stabilized") : nil
        let folder = Fixtures.path("golden/\(name)")
        let llm = try ModelFolder(path: folder + "/llm")
        guard name != "llama" else {
            (model, store) = try Self.rotary(
                llm, change, reading: ModelFolder(path: llm.path, adapter: reading))
            (states, embeddings) = (nil, nil)
            return
        }
        guard name.hasPrefix("hybrid"), change != "soft-prompt" else {
            let alone =
                name.hasPrefix("hybrid") ? try ModelFolder(path: folder + "/slm") : llm
            let vectors = try change.map { _ in try SoftPromptGolden.vectors(alone) }
            model = TrainableModel(
                Design(
                    decoder: try .init(alone, hasEncoder: true), projection: nil,
                    softPrompt: vectors?.shape[0] ?? 0))
            store = try Self.store(model, in: [alone.weights], and: vectors)
            (states, embeddings) = (nil, nil)
            return
        }
        let slm = try ModelFolder(path: folder + "/slm")
        let manifest = try SLMManifest(folder: folder + "/slm")
        let projector = try WeightFile(path: folder + "/slm/projector.safetensors")
        let design = try Design(slm: slm, manifest: manifest, projector: projector)
        let projection = try #require(design.projection)
        model = TrainableModel(
            Design(
                decoder: design.decoder,
                projection: .init(
                    encoderWidth: projection.encoderWidth, hiddenWidth: projection.hiddenWidth,
                    addend: change.map { $0 == "slm" ? .decoder : .none } ?? projection.addend)))
        store = try Self.store(model, in: [projector, slm.weights])
        let encoder = try Encoder(llm)
        let read = encoder.encode(sources.map { ($0, .identity) }, workspace: Workspace())
        states = FloatBuffer(read.flatMap { $0.withFloats(Array.init) })
        let table = try llm.weights.tensor("shared.weight")
        let vectors = FloatBuffer(count: sources.joined().count * encoder.width)
        for (row, token) in sources.joined().enumerated() {
            let start = Int(token) * encoder.width
            vectors.withFloats {
                table.read(
                    start..<start + encoder.width,
                    into: .init(rebasing: $0[row * encoder.width..<(row + 1) * encoder.width]))
            }
        }
        embeddings = vectors
    }

    /// The whole model, the model with the adapter of lora/plain, or two of its layers with that.
    private static func rotary(
        _ folder: ModelFolder, _ change: String?, reading: ModelFolder
    ) throws -> (TrainableModel, ParameterStore) {
        guard case .rotary(let configuration) = folder.configuration else {
            throw UntrainableModel(path: folder.path, what: folder.configuration.name)
        }
        let shape = try RotaryShape(
            reading, configuration,
            adapter: change.map { _ in
                AdapterShape(
                    rank: 4, scale: 2, targets: Set(TrainingRecipe.Adapter.all))
            }, writingLayers: change == "layers" ? [0, 2] : nil)
        let model = TrainableModel(Design(decoder: .rotary(shape), projection: nil))
        let adapter = try WeightFile(path: Fixtures.path("lora/plain/adapter_model.safetensors"))
        let tensors = try NamedTensor.all(in: change == nil ? folder.weights : adapter)
        for tensor in tensors where tensor.name.hasSuffix(".q_proj.weight") {
            tensor.values.withFloats { for index in $0.indices { $0[index] *= 0.25 } }
        }
        let store = try ParameterStore(model.layout, tensors: tensors, path: "golden") {
            parameter, floats in
            let isUnadapted = parameter.name.hasPrefix(RotaryNames.unadapted)
            let name = parameter.name.dropFirst(isUnadapted ? RotaryNames.unadapted.count : 0)
            try (isUnadapted ? folder : reading).weights
                .tensor(String(name), shape: parameter.shape).read(into: floats)
            guard parameter.name.hasSuffix(".q_proj.weight") else { return }
            for index in floats.indices { floats[index] *= 0.25 }
        }
        return (model, store)
    }

    private static func store(
        _ model: TrainableModel, in files: [WeightFile], and more: NamedTensor? = nil
    ) throws -> ParameterStore {
        let tensors = try files.flatMap(NamedTensor.all) + [more].compactMap(\.self)
        // As generate.py does.
        for tensor in tensors where tensor.name.hasSuffix(".q.weight") {
            tensor.values.withFloats { for index in $0.indices { $0[index] *= 0.25 } }
        }
        return try ParameterStore(model.layout, tensors: tensors, path: "golden")
    }

    /// The mean over all response tokens; its gradient is added to `gradients`.
    func loss(gradients: FloatBuffer, isTraining: Bool = true, dropout: Dropout = .none) -> Double {
        let workspace = Workspace()
        return workspace.scope {
            let tape = Tape(
                values: store.values, gradients: gradients, base: store.base,
                workspace: workspace, dropout: dropout, isTraining: isTraining)
            let width = model.design.projection?.encoderWidth ?? 1
            let scale = 1 / Float(targets.joined().count)
            let sum = model.loss(
                .init(
                    sources: sources, cues: cues, targets: targets,
                    states: states?.rows(width: width),
                    embeddings: embeddings?.rows(width: width)),
                labelSmoothing: 0.1, distillation: distillation, scale: scale, tape)
            tape.backward()
            return sum * Double(scale)
        }
    }
}

/// The soft prompts of generate.py, and what transformers writes with them.
enum SoftPromptGolden {
    static func vectors(_ folder: ModelFolder) throws -> NamedTensor {
        let tokens: [Int32] = [30, 700, 41]
        let names = ["shared.weight", "transformer.wte.weight"]
        let table = try folder.weights.tensor(
            #require(names.first(where: folder.weights.contains)))
        let width = table.shape[1]
        let values = FloatBuffer(count: tokens.count * width)
        for (row, token) in tokens.enumerated() {
            values.withFloats {
                table.read(
                    Int(token) * width..<(Int(token) + 1) * width,
                    into: .init(rebasing: $0[row * width..<(row + 1) * width]))
            }
        }
        return NamedTensor(SoftPrompt.tensorName, [tokens.count, width], values)
    }

    static func outputs(_ name: String) throws -> [[Int32]] {
        let data = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.path("training/soft-prompts.json")))
        return try #require(JSONDecoder().decode([String: [[Int32]]].self, from: data)[name])
    }
}

extension String {
    /// Some files of GPT-2 have the prefix, others do not.
    fileprivate var withoutPrefix: String {
        hasPrefix("transformer.") ? String(dropFirst("transformer.".count)) : self
    }
}

extension FloatBuffer {
    convenience init(_ values: [Float]) {
        self.init(count: values.count)
        withFloats { _ = $0.update(from: values) }
    }
}
