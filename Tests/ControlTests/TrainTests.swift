import Foundation
import TestSupport
import Testing

/// `l2s train` as users run it.
@Suite struct TrainTests {
    private let program: BuiltProgram
    private let scratch: ScratchFolder

    init() throws {
        program = try BuiltProgram("l2s")
        scratch = try ScratchFolder()
        for folder in ["jobs", "models"] {
            try FileManager.default.createDirectory(
                atPath: scratch.path + "/" + folder, withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(
            atPath: Fixtures.path("golden/hybrid-t5-cross/llm"),
            toPath: scratch.path + "/models/llm")
        let pairs = (0..<32).map {
            #"{"source": "word \#($0) apple tree \#($0 * 7)", "target": "answer \#($0 * 3) is \#($0)"}"#
        }
        try scratch.write("pairs.jsonl", (pairs.joined(separator: "\n") + "\n").utf8)
    }

    private func recipe(
        output: String = "slm", steps: Int = 100, rate: Double = 0.005, extra: String = ""
    ) throws -> String {
        try scratch.write(
            "\(output).yaml",
            """
            llm: llm
            output: \(output)
            prompt: "say: {document}"
            data: {train: \(scratch.path)/pairs.jsonl, validation: \(scratch.path)/pairs.jsonl}
            sizes: {width: 48, head_width: 16, heads: 3, feed_forward: 96, layers: 1}
            batch: {tokens: 512}
            length: {steps: \(steps)}
            optimizer: {learning_rate: \(rate), warmup_steps: 10}
            regularization: {dropout: 0.05}
            validation: {interval: 10}
            seed: 5
            threads: 2
            \(extra)
            """.utf8)
    }

    private func arguments(_ recipe: String) -> [String] {
        [
            "train", recipe, "--jobs", scratch.path + "/jobs", "--models",
            scratch.path + "/models",
        ]
    }

    private func weights(_ output: String = "slm") throws -> Data {
        try ["model", "projector"].reduce(into: Data()) { all, file in
            let path = "\(scratch.path)/models/\(output)/\(file).safetensors"
            all += try Data(contentsOf: URL(fileURLWithPath: path))
        }
    }

    /// So many steps that the run still goes on when a busy machine has seen the first checkpoint.
    private static let steps = 2_000

    private var state: String { scratch.path + "/models/slm.training/state.safetensors" }

    private func killAfterCheckpoint(_ recipe: String) async throws {
        let killed = try program.start(arguments(recipe))
        try await eventually("the first checkpoint is there", within: .seconds(300)) {
            FileManager.default.fileExists(atPath: state)
        }
        killed.send(SIGKILL)
        #expect(try await killed.ending().status == -SIGKILL)
    }

    /// The weights of a run from start to end, which is removed.
    private func uninterrupted(_ recipe: String) async throws -> Data {
        let whole = try await program.run(arguments(recipe))
        #expect(whole.status == 0, "\(whole.remarks)")
        let weights = try weights()
        try FileManager.default.removeItem(atPath: scratch.path + "/models/slm")
        return weights
    }

    /// Two runs and a half with one seed.
    @Test func aKilledTrainingEndsAsOneThatWasNot() async throws {
        let path = try recipe(steps: Self.steps)
        let expected = try await uninterrupted(path)
        try await killAfterCheckpoint(path)
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/models/slm"))

        let resumed = try await program.run(arguments(path))
        #expect(resumed.status == 0, "\(resumed.remarks)")
        #expect(resumed.remarks.contains("going on after step"))
        #expect(try weights() == expected)
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/models/slm.training"))
    }

    @Test func twoTrainingsOfOneOutputAreRefused() async throws {
        // So many steps that the first training still runs when the second begins.
        let path = try recipe(steps: 1_000_000)
        let first = try program.start(arguments(path))
        try await eventually("the first checkpoint is there", within: .seconds(300)) {
            FileManager.default.fileExists(atPath: state)
        }
        let second = try await program.run(arguments(path))
        #expect(second.status == 2)
        #expect(
            second.remarks.contains(
                "expected no other process to train this model, found process \(first.processID) at it"
            ),
            "\(second.remarks)")
        first.send(SIGKILL)
        #expect(try await first.ending().status == -SIGKILL)
    }

    /// Pairs that contradict those of the training are answered ever worse.
    @Test func trainingStopsWhenValidationGetsNoBetter() async throws {
        let pairs = (0..<32).map {
            #"{"source": "word \#($0) apple tree \#($0 * 7)", "target": "nothing at all"}"# + "\n"
        }
        let other = try scratch.write("other.jsonl", pairs.joined().utf8)
        let text = try String(contentsOfFile: recipe(steps: Self.steps), encoding: .utf8)
            .replacing("validation: \(scratch.path)/pairs.jsonl", with: "validation: \(other)")
            .replacing("{interval: 10}", with: "{interval: 10, patience: 2}")
        let ending = try await program.run(
            arguments(scratch.write("slm.yaml", text.utf8)) + ["--json"])
        #expect(ending.status == 0, "\(ending.remarks)")
        let losses = try ending.output.split(separator: "\n").compactMap { line in
            let point = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return (point as? [String: Any])?["validation_loss"] as? Double
        }
        let best = try #require(losses.min().flatMap(losses.firstIndex))
        #expect(losses.count == best + 3 && losses.count < Self.steps / 10, "\(losses)")
        #expect(ending.remarks.contains("the weights of step \(10 * (best + 1)) of"))
    }

    @Test func aSmallModelLearnsItsPairsByHeart() async throws {
        let ending = try await program.run(
            arguments(try recipe(steps: 150)) + ["--json"])
        #expect(ending.status == 0, "\(ending.remarks)")
        // A line for each validation, two around them, and one every ten seconds at most.
        #expect(!ending.remarks.contains("\r") && !ending.remarks.contains("\u{1B}"))
        #expect(ending.remarks.count { $0 == "\n" } < 15 + 2 + 30, "\(ending.remarks)")
        let curve = try String(
            contentsOfFile: scratch.path + "/models/slm/training.jsonl", encoding: .utf8)
        let last = try #require(curve.split(separator: "\n").last)
        let point = try #require(
            JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any])
        #expect(try #require(point["validation_loss"] as? Double) < 0.05)
        // What was learned is what a worker serves.
        let served = try await program.run(
            [
                "generate", "--model", scratch.path + "/models/slm", "--text", "--prompt",
                "say: {document}",
            ],
            input: (0..<32).map { "word \($0) apple tree \($0 * 7)\n" }.joined().utf8)
        #expect(served.output.contains("\"text\":\"answer 15 is 5\""))
        // All that it writes, and the end token, is in the shortlist beside it, and no more.
        let written = try served.output.split(separator: "\n").flatMap { line in
            let answer = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return try #require((answer as? [String: Any])?["token_ids"] as? [Int])
        }
        let shortlist = try String(
            contentsOfFile: scratch.path + "/models/slm/shortlist.txt", encoding: .utf8)
        #expect(
            shortlist.split(separator: "\n").map { Int($0) } == Set(written + [1]).sorted())
    }

    @Test func aLossThatIsNoNumberStopsAndKeepsTheCheckpoint() async throws {
        let first = try await program.run(arguments(try recipe(steps: 10)))
        #expect(first.status == 0, "\(first.remarks)")
        // The last float of the file becomes none.
        let path = scratch.path + "/models/slm/model.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xC0, 0x7F])
        try bytes.write(to: URL(fileURLWithPath: path))
        let second = try recipe(output: "next", extra: "start: {checkpoint: slm}")
        let text = try String(contentsOfFile: second, encoding: .utf8)
        try scratch.write(
            "next.yaml",
            text.split(separator: "\n").filter { !$0.hasPrefix("sizes") }
                .joined(separator: "\n").utf8)
        let ending = try await program.run(arguments(second))
        #expect(ending.status == 2)
        #expect(ending.remarks.contains("step 1 (epoch 0, batch 0): expected a finite loss"))
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/models/next"))
    }

    /// The limit on a file's size stands for a disk that fills up: writes fail half-way.
    @Test func aFullDiskAtACheckpointLosesNothing() async throws {
        let path = try recipe(steps: Self.steps)
        let expected = try await uninterrupted(path)
        try await killAfterCheckpoint(path)
        let before = try Data(contentsOf: URL(fileURLWithPath: state))

        let shell = try #require(BuiltProgram(installed: "bash"))
        let full = try await shell.run(
            ["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\"", program.path]
                + arguments(path))
        #expect(full.status == 2)
        #expect(full.remarks.contains("state.safetensors"), "\(full.remarks)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: state)) == before)

        let resumed = try await program.run(arguments(path))
        #expect(resumed.status == 0, "\(resumed.remarks)")
        #expect(try weights() == expected)
    }

    @Test func badRecipesAreRefused() async throws {
        let unknown = try await program.run(arguments(try recipe(extra: "colour: blue")))
        #expect(unknown.status == 64)
        #expect(unknown.remarks.contains("colour"))
        let occupied = try await program.run(arguments(try recipe(output: "llm")))
        #expect(occupied.status == 2)
        #expect(occupied.remarks.contains("expected a folder that is new or empty"))
        try FileManager.default.copyItem(
            atPath: Fixtures.path("golden/hybrid-gpt2-add/slm"),
            toPath: scratch.path + "/models/gpt2")
        let text = try String(contentsOfFile: recipe(), encoding: .utf8)
        let unreading = try await program.run(
            arguments(
                scratch.write(
                    "slm.yaml", text.replacing("llm: llm", with: "llm: gpt2").utf8)))
        #expect(unreading.status == 2)
        #expect(unreading.remarks.contains("expected a T5, a translator or a summarizer as the"))
        let nothing = try await program.run(arguments(scratch.path + "/none.yaml"))
        #expect(nothing.status == 64)
        #expect(
            nothing.remarks.contains(
                "none.yaml: expected the file to be one that exists, got none"))
        // The unfinished training of another recipe is in the place of this one.
        try await killAfterCheckpoint(recipe(steps: 1_000_000))
        let other = try await program.run(arguments(try recipe(steps: 101)))
        #expect(other.status == 2)
        #expect(other.remarks.contains("expected the training of this recipe"))
    }
}
