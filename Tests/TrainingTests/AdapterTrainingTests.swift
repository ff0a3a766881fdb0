import Checkpoints
import Foundation
import Inference
import Settings
import TestSupport
import Testing

@testable import Training

/// Low-rank adapters, and cuts of an LLM's layers, from a recipe to the folder that PEFT and a
/// worker read.
@Suite struct AdapterTrainingTests {
    private let scratch: ScratchFolder

    init() throws {
        scratch = try ScratchFolder()
        try scratch.copy(fixture: "golden/llama/llm")
        for (name, target) in [("first", "answer"), ("second", "nothing at all")] {
            let pairs = (0..<24).map {
                #"{"source": "word \#($0) apple", "target": "\#(target) \#($0 % 5)"}"# + "\n"
            }
            try scratch.write("\(name).jsonl", pairs.joined().utf8)
        }
    }

    private func recipe(
        _ more: String, output: String = "adapter", llm: String = "llm"
    ) throws -> TrainingRecipe {
        let data = scratch.path
        return try TrainingRecipe(
            parsing: """
                llm: \(llm)
                output: \(output)
                prompt: "{document}"
                tasks:
                  one: {train: \(data)/first.jsonl, validation: \(data)/first.jsonl, share: 2,
                    decoder_prompt: "<|im_start|>One\\n"}
                  two: {train: \(data)/second.jsonl, validation: \(data)/second.jsonl,
                    decoder_prompt: "<|im_start|>Two\\n"}
                batch: {tokens: 256, accumulation: 2}
                length: {steps: 30}
                optimizer: {learning_rate: 0.02, warmup_steps: 3, schedule: inverse_sqrt}
                validation: {interval: 10}
                threads: 2
                \(more)
                """, file: "recipe.yaml")
    }

    private func losses(_ recipe: TrainingRecipe) throws -> [Double] {
        var losses: [Double] = []
        _ = try TrainingRun(recipe, modelsFolder: scratch.path).run { event in
            if case .validated(_, let loss, _) = event { losses.append(loss) }
        }
        return losses
    }

    @Test(arguments: ["float32", "bfloat16"])
    func anAdapterLearnsTwoTasksAndIsReadAgain(_ precision: String) throws {
        let recipe = try recipe(
            "architecture: adapter\nadapter: {rank: 4, alpha: 8}\nprecision: \(precision)")
        let losses = try losses(recipe)
        #expect(losses.count == 3 && losses[2] < 0.9 * losses[0], "\(losses)")
        let path = scratch.path + "/adapter"
        let adapter = try LoRAAdapter(path: path)
        #expect(adapter.rank == 4)
        #expect(adapter.targets == TrainingRecipe.Adapter.all.sorted())
        let plain = try ModelFolder(path: scratch.path + "/llm")
        let merged = try ModelFolder(path: scratch.path + "/llm", adapter: path)
        #expect(try merged.fingerprint != plain.fingerprint)
    }

    /// The layers of the cut are those of the adapter's LLM, with their own numbers.
    @Test func aCutOfTheLLMLearnsAndSaysWhatItIs() throws {
        _ = try losses(recipe("architecture: adapter\nadapter: {rank: 2}"))
        let losses = try losses(
            recipe(
                """
                architecture: llm_layers
                start: {llm_layers: "0, 2", llm_adapter: adapter}
                adapter: {rank: 4, alpha: 8}
                """, output: "cut"))
        #expect(losses.count == 3 && losses[2] < 0.9 * losses[0], "\(losses)")
        let manifest = try #require(
            JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: scratch.path + "/cut/l2s.json")))
                as? [String: Any])
        #expect(manifest["fusion"] as? String == "layers")
        #expect(manifest["layers"] as? [Int] == [0, 2])
        #expect(manifest["llm"] as? String == "../llm")
        let llm = try ModelFolder(
            path: scratch.path + "/llm", adapter: scratch.path + "/adapter")
        #expect(try manifest["llm_fingerprint"] as? String == llm.fingerprint)
        let weights = try WeightFile(path: scratch.path + "/cut/" + LoRAAdapter.weightsFile)
        #expect(weights.names.contains { $0.contains("layers.2.mlp.down_proj.lora_B") })
        #expect(!weights.names.contains { $0.contains("layers.1.") })
        // A worker opens it like this.
        let cut = try ModelFolder(path: scratch.path + "/cut")
        #expect(cut.adapter?.rank == 4)
    }

    /// A cut starts with the layers that the model has with the adapter that it reads with.
    @Test func aCutBeginsAsTheAdaptedModelsLayers() throws {
        let recipe = try recipe(
            """
            architecture: llm_layers
            start: {llm_layers: "0, 2", llm_adapter: reading}
            adapter: {rank: 6, alpha: 8}
            """, output: "cut")
        try FileManager.default.copyItem(
            atPath: Fixtures.path("lora/plain"), toPath: scratch.path + "/reading")
        let start = try AdapterStart(recipe, llm: "llm", modelsFolder: scratch.path)
        let layout = TrainableModel(Design(decoder: .rotary(start.shape), projection: nil)).layout
        let tensors = try start.adapter(layout)
        let plain = try ModelFolder(path: scratch.path + "/llm")
        let adapted = try ModelFolder(
            path: scratch.path + "/llm", adapter: scratch.path + "/reading")
        let name = "model.layers.2.mlp.down_proj"
        func values(_ part: String) throws -> (shape: [Int], floats: [Float]) {
            let tensor = try #require(
                tensors.first { $0.name == "base_model.model.\(name).\(part).weight" })
            return (tensor.shape, tensor.values.withFloats { Array($0) })
        }
        let (down, up) = (try values("lora_A"), try values("lora_B"))
        let (rows, rank, columns) = (up.shape[0], up.shape[1], down.shape[1])
        #expect(rank == 6)
        let scale = Float(8 / 6.0.squareRoot())
        func floats(_ folder: ModelFolder) throws -> [Float] {
            let tensor = try folder.weights.tensor(name + ".weight")
            return [Float](unsafeUninitializedCapacity: tensor.count) { floats, count in
                tensor.read(into: UnsafeMutableBufferPointer(rebasing: floats[..<tensor.count]))
                count = tensor.count
            }
        }
        let (before, after) = (try floats(plain), try floats(adapted))
        for row in 0..<rows {
            for column in 0..<columns {
                let change = (0..<rank).reduce(Float(0)) {
                    $0 + up.floats[row * rank + $1] * down.floats[$1 * columns + column]
                }
                let index = row * columns + column
                #expect(abs(before[index] + scale * change - after[index]) < 1e-4)
            }
        }
    }

    /// The first loss is the last one of the adapter that training continues from, up to the
    /// rounding of what is stored. The rank may grow.
    @Test func anAdapterIsTrainedFurther() throws {
        let shape = "architecture: adapter\nadapter: {rank: 4, alpha: 8}"
        let first = try losses(recipe(shape, output: "first"))
        func firstLoss(_ more: String, output: String) throws -> Double {
            struct Stop: Error {}
            var loss = Double.nan
            let recipe = try recipe(more, output: output)
            #expect(throws: Stop.self) {
                try TrainingRun(recipe, modelsFolder: scratch.path).run { event in
                    guard case .stepped(let step) = event else { return }
                    loss = step.loss
                    throw Stop()
                }
            }
            return loss
        }
        let anew = try firstLoss(shape, output: "anew")
        for rank in [4, 6] {
            let further = try firstLoss(
                """
                architecture: adapter
                adapter: {rank: \(rank), alpha: 5}
                start: {adapter: first}
                """, output: "further-\(rank)")
            #expect(further < (anew + first[2]) / 2, "\(further), \(anew), \(first)")
        }
        #expect {
            try TrainingRun(
                recipe(
                    "architecture: adapter\nadapter: {rank: 2}\nstart: {adapter: first}",
                    output: "smaller"), modelsFolder: scratch.path)
        } throws: {
            "\($0)".contains("a rank of at most adapter.rank, 2")
        }
    }

    /// A wider adapter would be copied past the end of its place.
    @Test func anAdapterOfAnotherModelIsRefused() throws {
        let path = scratch.path + "/other"
        try FileManager.default.copyItem(atPath: Fixtures.path("lora/plain"), toPath: path)
        let module = "base_model.model.model.layers.0.mlp.up_proj."
        let file = path + "/" + LoRAAdapter.weightsFile
        try FileManager.default.removeItem(atPath: file)
        try SafetensorsWriter.write(
            [("lora_A", [4, 80]), ("lora_B", [64, 4])].map { name, shape in
                FloatBuffer(count: shape[0] * shape[1]).stored(
                    as: module + name + ".weight", shape: shape, format: .float32)
            }, metadata: [:], to: file)
        let further = "architecture: adapter\nadapter: {rank: 4}\nstart: {adapter: other}"
        #expect {
            try TrainingRun(recipe(further), modelsFolder: scratch.path)
        } throws: {
            let message = "\($0)"
            return message.contains("model.layers.0.mlp.up_proj") && message.contains("[64, 32]")
                && message.contains("found one of [64, 80]")
        }
    }

    /// An adapter's configuration may list a larger rank for some layers.
    @Test func anAdapterWithLayersOfALargerRankIsRefused() throws {
        let path = scratch.path + "/first"
        try FileManager.default.copyItem(atPath: Fixtures.path("lora/plain"), toPath: path)
        let file = path + "/" + LoRAAdapter.configurationFile
        let text = try String(contentsOfFile: file, encoding: .utf8)
        // All layers have 4; the configuration now says 2, and 4 for each module.
        let modules = ["q", "k", "v", "o", "gate", "up", "down"].map { "\"\($0)_proj\": 4" }
        let changed = text.replacing("\"r\": 4", with: "\"r\": 2").replacing(
            "\"rank_pattern\": {}",
            with: "\"rank_pattern\": {\(modules.joined(separator: ", "))}")
        try FileManager.default.removeItem(atPath: file)
        try scratch.write("first/" + LoRAAdapter.configurationFile, changed.utf8)
        let further = "architecture: adapter\nadapter: {rank: 3}\nstart: {adapter: first}"
        #expect {
            try TrainingRun(recipe(further), modelsFolder: scratch.path)
        } throws: {
            let message = "\($0)"
            return message.contains("a rank of at most adapter.rank, 3")
                && message.contains("found 4")
        }
    }

    /// The adapter fits the model's tensors, but both are wider than its config.json says.
    @Test func anAdapterBesideTheConfigurationIsRefused() throws {
        let configuration = scratch.path + "/llm/config.json"
        let text = try String(contentsOfFile: configuration, encoding: .utf8)
        try scratch.write(
            "llm/config.json",
            text.replacing("\"intermediate_size\": 64", with: "\"intermediate_size\": 48").utf8)
        try FileManager.default.copyItem(
            atPath: Fixtures.path("lora/plain"), toPath: scratch.path + "/first")
        let recipe = try recipe(
            "architecture: adapter\nadapter: {rank: 8}\nstart: {adapter: first}")
        let start = try AdapterStart(recipe, llm: "llm", modelsFolder: scratch.path)
        let layout = TrainableModel(Design(decoder: .rotary(start.shape), projection: nil)).layout
        #expect {
            try start.adapter(layout)
        } throws: {
            guard case .wrongShape? = ($0 as? CheckpointError)?.problem else { return false }
            return "\($0)".contains("mlp.")
        }
    }

    /// Learning from the LLM differs from learning from the label, and either lowers the loss.
    @Test func aCutLearnsFromTheWholeModel() throws {
        let cut = """
            architecture: llm_layers
            start: {llm_layers: "0, 2"}
            adapter: {rank: 4, alpha: 8}

            """
        let plain = try losses(recipe(cut, output: "plain"))
        let taught = try losses(
            recipe(cut + "regularization: {distillation: 0.3}", output: "taught"))
        #expect(taught.count == 3 && taught[2] < taught[0] && taught != plain)
    }

    @Test func trainingGoesOnWhereItWasStopped() throws {
        struct Stop: Error {}
        let recipe = try recipe("architecture: adapter\nadapter: {rank: 4, alpha: 8}")
        let whole = try losses(recipe)
        let expected = try Data(contentsOf: weights)
        try FileManager.default.removeItem(atPath: scratch.path + "/adapter")
        #expect(throws: Stop.self) {
            try TrainingRun(recipe, modelsFolder: scratch.path).run { event in
                if case .stepped(let step) = event, step.number == 17 { throw Stop() }
            }
        }
        let rest = try losses(recipe)
        #expect(rest == Array(whole.suffix(rest.count)))
        #expect(try Data(contentsOf: weights) == expected)
    }

    private var weights: URL {
        URL(fileURLWithPath: scratch.path + "/adapter/" + LoRAAdapter.weightsFile)
    }

    @Test func whatCannotBeIsNamed() throws {
        try scratch.copy(fixture: "golden/t5-v1.1/llm", as: "t5")
        for (llm, more, expected) in [
            ("llm", "architecture: llm_layers\nstart: {llm_layers: \"0, 7\"}", "found layer 7"),
            ("t5", "architecture: adapter", "expected a model of the Llama type"),
        ] {
            #expect {
                try TrainingRun(recipe(more, llm: llm), modelsFolder: scratch.path)
            } throws: {
                "\($0)".contains(expected)
            }
        }
    }
}
