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
    }

    private static let sizes = "sizes: {width: 32, head_width: 8, heads: 4, feed_forward: 64"
    private static let alone = "start: {tokenizer: llm}\n" + sizes

    struct Kind: CustomTestStringConvertible {
        let name: String
        let recipe: String
        var learningRate = 0.01
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
                start: {checkpoint: llm, frozen: true}
                sizes: {soft_prompt: 8}
                """,
            learningRate: 0.1),
    ])
    func learnsAndIsServed(_ kind: Kind) async throws {
        let recipe = try scratch.write(
            "recipe.yaml",
            """
            output: trained
            prompt: "say: {document}"
            data: {train: \(scratch.path)/pairs.jsonl, validation: \(scratch.path)/pairs.jsonl}
            batch: {tokens: 256, accumulation: 2}
            length: {steps: 30}
            optimizer: {learning_rate: \(kind.learningRate), warmup_steps: 3, schedule: inverse_sqrt}
            regularization: {dropout: 0.05, label_smoothing: 0.05}
            validation: {interval: 10}
            seed: 3
            threads: 2
            \(kind.recipe)
            """.utf8)
        let program = try BuiltProgram("l2s")
        let ending = try await program.run(["train", recipe, "--models", scratch.path])
        #expect(ending.status == 0, "\(ending.remarks)")
        let losses = try validationLosses()
        #expect(losses.count == 3)
        #expect(losses[2] < losses[0] && losses[0] < 15, "\(losses)")
        let served = try await program.run(
            ["generate", "--model", scratch.path + "/trained", "--text", "--max-new-tokens", "8"],
            input: "say: word 5 apple\n".utf8)
        #expect(served.status == 0, "\(served.remarks)")
        #expect(served.output.contains("\"text\""), "\(served.output)")
    }

    private func validationLosses() throws -> [Double] {
        try String(contentsOfFile: scratch.path + "/trained/training.jsonl", encoding: .utf8)
            .split(separator: "\n").compactMap { line in
                let point = try JSONSerialization.jsonObject(with: Data(line.utf8))
                return (point as? [String: Any])?["validation_loss"] as? Double
            }
    }
}
