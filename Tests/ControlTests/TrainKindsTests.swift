import Foundation
import TestSupport
import Testing

/// `l2s train` of every kind of small model, from a recipe to what it writes.
@Suite struct TrainKindsTests {
    private let scratch: ScratchFolder

    init() throws {
        scratch = try ScratchFolder()
        for (golden, name) in [("hybrid-t5-cross", "llm"), ("hybrid-gpt2-add", "slm")] {
            try scratch.copy(fixture: "golden/\(golden)/\(name)")
        }
        let pairs = (0..<24).map {
            #"{"source": "word \#($0) apple", "target": "answer \#($0 % 5)"}"# + "\n"
        }
        try scratch.write("pairs.jsonl", pairs.joined().utf8)
        let cued = pairs.map { $0.replacing("word", with: "left word") }
        let plain = (0..<24).map {
            #"{"source": "word \#($0) apple", "target": "nothing at all"}"# + "\n"
        }
        try scratch.write("cued.jsonl", (cued + plain).joined().utf8)
    }

    private static let sizes = "sizes: {width: 32, head_width: 8, heads: 4, feed_forward: 64"
    private static let alone = "start: {tokenizer: llm}\n" + sizes

    struct Kind: CustomTestStringConvertible {
        let name: String
        let recipe: String
        var learningRate = 0.01
        /// The recipe of a model that is trained before, as `first`, to answer these pairs only after
        /// the word `left`. A soft prompt can take that word's place, so that the loss falls far on
        /// every processor. With a model of random weights the loss falls by 1 %, and rounding
        /// decides whether it does.
        var first: String?
        var testDescription: String { name }
    }

    @Test(arguments: [
        Kind(name: "T5 decoder", recipe: "llm: llm\n\(sizes)}"),
        Kind(name: "LLM's own layers", recipe: "llm: llm\nstart: {llm_layers: '1'}"),
        Kind(name: "T5, add", recipe: "llm: llm\narchitecture: t5\n\(sizes)}"),
        Kind(name: "T5, replace", recipe: "llm: llm\narchitecture: t5\nfusion: replace\n\(sizes)}"),
        Kind(name: "GPT-2, own embedding", recipe: "llm: llm\narchitecture: gpt2\n\(sizes)}"),
        Kind(
            name: "GPT-2, the LLM's embedding",
            recipe: "llm: llm\narchitecture: gpt2\nprompt_embedding: llm\n\(sizes)}"),
        Kind(
            name: "GPT-2, a checkpoint",
            recipe:
                "llm: llm\narchitecture: gpt2\nprompt_embedding: llm\nstart: {checkpoint: slm}"),
        Kind(name: "T5 alone", recipe: "architecture: whole_t5\n\(alone)}"),
        Kind(name: "T5, prompt-tuned", recipe: "architecture: whole_t5\n\(alone), soft_prompt: 5}"),
        Kind(name: "GPT-2 alone", recipe: "architecture: whole_gpt2\n\(alone)}"),
        Kind(
            name: "GPT-2, prompt-tuned",
            recipe: "architecture: whole_gpt2\n\(alone), soft_prompt: 5}"),
        Kind(
            name: "T5, frozen behind a soft prompt",
            recipe: """
                architecture: whole_t5
                start: {checkpoint: first, frozen: true}
                sizes: {soft_prompt: 8}
                """,
            learningRate: 0.03, first: "architecture: whole_t5\n\(alone)}"),
    ])
    func learnsAndIsServed(_ kind: Kind) async throws {
        if let first = kind.first {
            try await train("first", on: "cued.jsonl", steps: 60, learningRate: 0.01, by: first)
        }
        try await train(
            "trained", on: "pairs.jsonl", steps: 30, learningRate: kind.learningRate,
            by: kind.recipe)
        let losses = try validationLosses()
        #expect(losses.count == 3)
        #expect(losses[2] < 0.9 * losses[0] && losses[0] < 15, "\(losses)")
        let served = try await BuiltProgram("l2s").run(
            ["generate", "--model", scratch.path + "/trained", "--text", "--max-new-tokens", "8"],
            input: "say: word 5 apple\n".utf8)
        #expect(served.status == 0, "\(served.remarks)")
        #expect(served.output.contains("\"text\""), "\(served.output)")
    }

    private func train(
        _ output: String, on data: String, steps: Int, learningRate: Double, by recipe: String
    ) async throws {
        let recipe = try scratch.write(
            "recipe.yaml",
            """
            output: \(output)
            prompt: "say: {document}"
            data: {train: \(scratch.path)/\(data), validation: \(scratch.path)/\(data)}
            batch: {tokens: 256, accumulation: 2}
            length: {steps: \(steps)}
            optimizer: {learning_rate: \(learningRate), warmup_steps: 3, schedule: inverse_sqrt}
            regularization: {dropout: 0.05, label_smoothing: 0.05}
            validation: {interval: 10}
            seed: 3
            threads: 2
            \(recipe)
            """.utf8)
        let ending = try await BuiltProgram("l2s").run(
            ["train", recipe, "--models", scratch.path])
        #expect(ending.status == 0, "\(ending.remarks)")
    }

    private func validationLosses() throws -> [Double] {
        try String(contentsOfFile: scratch.path + "/trained/training.jsonl", encoding: .utf8)
            .split(separator: "\n").compactMap { line in
                let point = try JSONSerialization.jsonObject(with: Data(line.utf8))
                return (point as? [String: Any])?["validation_loss"] as? Double
            }
    }
}
