import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// Adapters are merged as PEFT merges them: see Fixtures/lora/generate.py.
@Suite struct LoRATests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private static let base = Fixtures.path("golden/llama/llm")

    @Test(arguments: ["plain", "stabilized"])
    func mergesAsPEFTDoes(adapter: String) throws {
        let path = Fixtures.path("lora/\(adapter)")
        let model = try ModelFolder(path: Self.base, adapter: path)
        let original = try ModelFolder(path: Self.base)
        let merged = try WeightFile(path: path + "/merged.safetensors")
        #expect(!merged.names.isEmpty)
        for name in model.weights.names {
            let found = try model.weights.tensor(name).floats
            guard merged.contains(name) else {
                #expect(try found == original.weights.tensor(name).floats, "\(name)")
                continue
            }
            let expected = try merged.tensor(name).floats
            let difference = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            let size = expected.map(abs).max() ?? 0
            #expect(difference <= 1e-6 * size, "\(name): \(difference) of \(size)")
            #expect(try found != original.weights.tensor(name).floats)
            // Some elements, across the ends of rows.
            let tensor = try model.weights.tensor(name)
            #expect(tensor.floats(in: 13..<97) == Array(found[13..<97]))
        }
    }

    @Test func tellsWhatItIs() throws {
        let adapter = try LoRAAdapter(path: Fixtures.path("lora/stabilized"))
        #expect(adapter.rank == 4)
        #expect(adapter.targets == ["down_proj", "o_proj", "q_proj", "v_proj"])
        #expect(adapter.parameters > 1_000)
    }

    @Test func isPartOfTheFingerprint() throws {
        func fingerprint(_ adapter: String?) throws -> String {
            try ModelFolder(path: Self.base, adapter: adapter.map { Fixtures.path("lora/\($0)") })
                .weights.fingerprint
        }
        let all = try [fingerprint(nil), fingerprint("plain"), fingerprint("stabilized")]
        #expect(Set(all).count == 3)
        #expect(try fingerprint("plain") == all[1])
    }

    @Test func theScaleIsPartOfTheFingerprint() throws {
        let path = try copy("plain") {
            $0.replacing("\"lora_alpha\": 8", with: "\"lora_alpha\": 9")
        }
        let original = try ModelFolder(path: Self.base, adapter: Fixtures.path("lora/plain"))
        let changed = try ModelFolder(path: Self.base, adapter: path)
        #expect(changed.weights.fingerprint != original.weights.fingerprint)
    }

    /// A copy of an adapter with another configuration.
    private func copy(_ adapter: String, _ change: (String) -> String) throws -> String {
        let path = folder.path + "/" + adapter
        try FileManager.default.copyItem(
            atPath: Fixtures.path("lora/" + adapter), toPath: path)
        let file = URL(filePath: path + "/adapter_config.json")
        let text = try String(contentsOf: file, encoding: .utf8)
        let changed = change(text)
        #expect(changed != text)
        try Data(changed.utf8).write(to: file)
        return path
    }

    @Test(arguments: [
        (#""use_dora": false"#, #""use_dora": true"#, "use_dora"),
        (#""bias": "none""#, #""bias": "all""#, "bias"),
        (#""modules_to_save": null"#, #""modules_to_save": ["lm_head"]"#, "modules_to_save"),
        (#""fan_in_fan_out": false"#, #""fan_in_fan_out": true"#, "fan_in_fan_out"),
        (#""lora_bias": false"#, #""lora_bias": true"#, "lora_bias"),
        (#""use_qalora": false"#, #""use_qalora": true"#, "use_qalora"),
        (#""layer_replication": null"#, #""layer_replication": [[0, 2]]"#, "layer_replication"),
        (
            #""trainable_token_indices": null"#, #""trainable_token_indices": [1, 2]"#,
            "trainable_token_indices"
        ),
        (#""target_parameters": null"#, #""target_parameters": ["x"]"#, "target_parameters"),
        (
            #""init_lora_weights": true"#, #""init_lora_weights": "pissa_niter_4""#,
            "init_lora_weights"
        ),
        (#""peft_type": "LORA""#, #""peft_type": "LOHA""#, "peft_type"),
        (#""r": 4"#, #""r": 0"#, "r"),
        (#""r": 4"#, #""r": "four""#, "r"),
        (#""rank_pattern": {}"#, #""rank_pattern": {".*q_proj": 3}"#, "rank_pattern"),
        (
            #""alpha_pattern": {}"#, #""alpha_pattern": {"q_proj": 3, "self_attn.q_proj": 4}"#,
            "alpha_pattern"
        ),
    ])
    func whatIsNotMergedIsNamed(old: String, new: String, field: String) throws {
        let path = try copy("plain") { $0.replacing(old, with: new) }
        guard case .field(let name, _, _)? = problem({ _ = try LoRAAdapter(path: path) }) else {
            Issue.record("expected a refusal of \(field)")
            return
        }
        #expect(name == field)
    }

    @Test func anEmptyListOfModulesIsNone() throws {
        let path = try copy("plain") {
            $0.replacing(#""modules_to_save": null"#, with: #""modules_to_save": []"#)
        }
        _ = try LoRAAdapter(path: path)
    }

    @Test func ranksThatTheTensorsDoNotHaveAreRefused() throws {
        let path = try copy("plain") { $0.replacing(#""r": 4"#, with: #""r": 5"#) }
        guard case .wrongShape? = problem({ _ = try LoRAAdapter(path: path) }) else {
            Issue.record("expected another shape")
            return
        }
    }

    @Test func anAdapterOfAnotherModelIsRefused() throws {
        let model = Fixtures.path("golden/t5-v1.0/llm")
        let adapter = Fixtures.path("lora/plain")
        guard
            case .missingTensor? = problem({
                _ = try ModelFolder(path: model, adapter: adapter)
            })
        else {
            Issue.record("expected a missing tensor")
            return
        }
        let words = try reason(
            of: adapterFile([("q_proj.lora_A", [4, 7]), ("q_proj.lora_B", [32, 4])]))
        #expect(words.contains("the adapter is another model's"))
    }

    @Test func otherTensorsAreRefused() throws {
        for name in ["q_proj.lora_magnitude_vector", "q_proj.lora_embedding_A", "q_proj.extra"] {
            let words = try reason(of: adapterFile([(name, [4, 32])]))
            #expect(words.contains("merge_and_unload"), "\(name): \(words)")
        }
        #expect(
            try reason(of: adapterFile([("q_proj.lora_A", [4, 32])])).contains("lora_B"))
        #expect(
            try reason(of: adapterFile([("q_proj.lora_B", [32, 4])])).contains("lora_A"))
        #expect(try reason(of: adapterFile([])).contains("found none"))
    }

    @Test func foldersWithoutAnAdapterAreRefused() throws {
        #expect(
            problem { _ = try LoRAAdapter(path: folder.path + "/none") }
                == .unreadable(attempt: "open the adapter", reason: "no such folder"))
        #expect(
            problem { _ = try LoRAAdapter(path: Self.base) }
                == .noneOf(files: ["adapter_config.json"]))
    }

    /// The plain adapter's configuration with other tensors, of the first layer's attention.
    private func adapterFile(_ tensors: [(name: String, shape: [Int])]) throws -> String {
        let path = folder.path + "/made-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: Fixtures.path("lora/plain/adapter_config.json"),
            toPath: path + "/adapter_config.json")
        let file = SafetensorsBuilder.file(
            tensors.map { name, shape in
                SafetensorsBuilder.Tensor(
                    name: "base_model.model.model.layers.0.self_attn.\(name).weight",
                    format: "F32", shape: shape,
                    bytes: .init(repeating: 0, count: 4 * shape.reduce(1, *)))
            })
        try Data(file).write(to: URL(filePath: path + "/adapter_model.safetensors"))
        return path
    }

    private func reason(of adapter: String) throws -> String {
        do {
            _ = try ModelFolder(path: Self.base, adapter: adapter)
            return ""
        } catch let error as CheckpointError {
            return error.description
        }
    }
}
