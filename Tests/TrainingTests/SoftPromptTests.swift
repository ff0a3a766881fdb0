import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import TestSupport
import Testing

@testable import Training

@Suite struct SoftPromptTests {
    /// The model of `golden` that reads prompts itself, with generate.py's vectors, as folder
    /// `alone`.
    private func folder(_ golden: String) throws -> TinyModels {
        let folder = try TinyModels(golden)
        try FileManager.default.moveItem(
            atPath: folder.path + (golden.hasPrefix("hybrid") ? "/slm" : "/llm"),
            toPath: folder.path + "/alone")
        let vectors = try SoftPromptGolden.vectors(ModelFolder(path: folder.path + "/alone"))
        try write(vectors, to: folder.path + "/alone")
        return folder
    }

    private func write(_ vectors: NamedTensor, to folder: String) throws {
        try SafetensorsWriter.write(
            [
                vectors.values.stored(
                    as: vectors.name, shape: vectors.shape, format: .float32)
            ], metadata: [:], to: folder + "/" + SoftPrompt.fileName)
    }

    @Test(arguments: ["t5-v1.1", "hybrid-gpt2-add"])
    func outputsAreThoseOfTransformers(golden: String) async throws {
        let folder = try folder(golden)
        let expected = try zip(Golden.load(golden).cases, SoftPromptGolden.outputs(golden))
            .filter { !$0.0.document.allSatisfy(\.isWhitespace) }.map(\.1)
        let documents = try goldenDocuments(golden)
        let jobType = try folder.jobType(.slm, slm: "alone")
        #expect(try await folder.outputs(of: jobType, documents) == expected)

        try FileManager.default.moveItem(
            atPath: folder.path + "/alone", toPath: folder.path + "/plain")
        _ = try ModelConverter.convert(
            folder.path + "/plain", to: folder.path + "/alone", format: .float32)
        #expect(try await folder.outputs(of: jobType, documents) == expected)
    }

    @Test func aLargeModelThatReadsOneIsRefused() throws {
        let folder = try TinyModels("hybrid-t5-add")
        try write(SoftPromptGolden.vectors(folder.llm()), to: folder.path + "/llm")
        #expect {
            try ModelLibrary(
                jobTypes: [folder.jobType(.hybrid, slm: "slm")], modelsFolder: folder.path)
        } throws: {
            "\($0)".contains("expected a large model that reads its prompts' tokens alone")
        }
    }

    @Test func itTakesPositions() throws {
        let folder = try folder("hybrid-gpt2-add")
        var jobType = try folder.jobType(.slm, slm: "alone")
        jobType.limits.sourceTokens = 512 - jobType.limits.newTokens - 2
        #expect {
            try ModelLibrary(jobTypes: [jobType], modelsFolder: folder.path)
        } throws: {
            "\($0)".contains("to be at most 509") && "\($0)".contains("without its soft prompt")
        }
        jobType.limits.sourceTokens -= 1
        _ = try ModelLibrary(jobTypes: [jobType], modelsFolder: folder.path)
    }

    @Test func aDecoderCannotReadByItself() throws {
        let folder = try TinyModels("t5-v1.0")
        let recipe = try folder.recipe("llm: llm\nsizes: {width: 16, heads: 2, head_width: 8}")
        try folder.write(folder.start(recipe), recipe)
        #expect {
            try ModelLibrary(
                jobTypes: [folder.jobType(.slm, slm: "trained")], modelsFolder: folder.path)
        } throws: { "\($0)".contains("expected a T5 with an encoder") }
    }

    @Test func itStartsAsVectorsOfTokensAndGoesOnFromACheckpoint() throws {
        let folder = try TinyModels("t5-v1.1")
        func start(_ checkpoint: String, _ vectors: Int) throws -> (StartingModel) {
            let recipe = try folder.recipe(
                """
                architecture: whole_t5
                start: {checkpoint: \(checkpoint)}
                sizes: {soft_prompt: \(vectors)}
                """)
            let start = try folder.start(recipe)
            if checkpoint == "llm" { try folder.write(start, recipe) }
            return start
        }
        let first = try start("llm", 4)
        let vectors = try #require(first.additions.first)
        #expect(vectors.shape == [4, first.configuration.width])
        let width = first.configuration.width
        func rows(_ tensor: NamedTensor) -> [[Float]] {
            tensor.values.withFloats { values in
                (0..<tensor.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
            }
        }
        let table = Set(rows(first.tensors[0]))
        #expect(rows(vectors).allSatisfy(table.contains))
        #expect(try rows(#require(start("trained", 4).additions.first)) == rows(vectors))
        #expect {
            try start("trained", 5)
        } throws: { "\($0)".contains("expected sizes.soft_prompt: 4") }
    }

    /// In prompt tuning, every bit of the model behind the vectors stays as it is.
    @Test func frozenWeightsStay() throws {
        let trainee = try GoldenTrainee("t5-v1.1+soft-prompt")
        let before = trainee.store.tensors
        let model = frozen(trainee)
        let store = try ParameterStore(model.layout, tensors: before, path: "golden")
        #expect(store.count == before.last { $0.name == SoftPrompt.tensorName }?.values.count)
        var settings = StepEngine.Settings()
        settings.clipping = 1
        let engine = StepEngine(
            model, store, source: .tokens, threads: 2, settings: settings)
        let losses = (1...20).map {
            engine.step([trainee.examples], step: $0, rate: 0.05).loss
        }
        #expect(losses[19] < losses[0])
        for (old, new) in zip(before, store.tensors) {
            let isSame = old.values.withFloats { old in
                new.values.withFloats { old.elementsEqual($0) }
            }
            #expect(isSame == (old.name != SoftPrompt.tensorName), "\(old.name)")
        }
    }

    private func frozen(_ trainee: GoldenTrainee) -> TrainableModel {
        let design = trainee.model.design
        return TrainableModel(
            Design(
                decoder: design.decoder, projection: nil, softPrompt: design.softPrompt,
                isDecoderFrozen: true))
    }

    /// No product is spent on a gradient that nothing reads, and the soft prompt's gradient stays
    /// the same.
    @Test(arguments: ["t5-v1.1", "t5-v1.0", "hybrid-gpt2-add"])
    func frozenMatricesGetNoGradient(golden: String) throws {
        let trainee = try GoldenTrainee(golden + "+soft-prompt")
        let all = gradients(of: trainee.model, trainee)
        let few = gradients(of: frozen(trainee), trainee)
        for parameter in trainee.store.parameters {
            if parameter.name == SoftPrompt.tensorName {
                // Sums may be taken in another order where memory is aligned differently.
                for (left, right) in zip(few[parameter.range], all[parameter.range]) {
                    #expect(abs(left - right) <= 1e-4 * max(abs(left), 1), "\(parameter.name)")
                }
            } else if parameter.decays {
                #expect(few[parameter.range].allSatisfy { $0 == 0 }, "\(parameter.name)")
            }
        }
    }

    private func gradients(of model: TrainableModel, _ trainee: GoldenTrainee) -> [Float] {
        let gradients = FloatBuffer(count: trainee.store.values.count)
        let workspace = Workspace()
        workspace.scope {
            let tape = Tape(
                values: trainee.store.values, gradients: gradients, workspace: workspace)
            _ = model.loss(
                .init(sources: trainee.sources, targets: trainee.targets, states: nil), scale: 1,
                tape)
            tape.backward()
        }
        return gradients.withFloats(Array.init)
    }
}
