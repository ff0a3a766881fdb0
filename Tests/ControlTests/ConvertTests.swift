import Foundation
import TestSupport
import Testing

/// `l2s convert`, and what the other commands make of its folders.
@Suite struct ConvertTests {
    private let folder: ScratchFolder
    private var output: String { folder.path + "/llm" }

    init() throws { folder = try ScratchFolder() }

    private func l2s(_ arguments: String...) async throws -> RunningProgram.Ending {
        try await BuiltProgram("l2s").run(arguments)
    }

    private func convert(_ model: String, _ dtype: String) async throws -> RunningProgram.Ending {
        try await l2s("convert", Fixtures.path(model), "--dtype", dtype, "--output", output)
    }

    @Test(arguments: ["float32", "bfloat16", "int8", "int4"])
    func outputsAreThoseOfTheOriginal(dtype: String) async throws {
        let original = Fixtures.path("golden/t5-v1.1/llm")
        let ending = try await convert("golden/t5-v1.1/llm", dtype)
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.output.contains("encoder and decoder"))
        #expect(ending.output.contains("matrices in \(dtype)"))
        let documents = try GoldenCase.load("t5-v1.1").map(\.document)
        let flags = ["--max-new-tokens", "24"]
        let expected = try await Generated.run(
            ["--model", original, "--dtype", dtype] + flags, documents)
        // A packed folder needs no --dtype.
        let found = try await Generated.run(["--model", output] + flags, documents)
        #expect(found.map(\.tokenIds) == expected.map(\.tokenIds))
        #expect(found.map(\.text) == expected.map(\.text))
        #expect(expected.contains { $0.tokenIds?.isEmpty == false })
    }

    @Test func aSmallModelRunsBehindItsPackedLargeOne() async throws {
        _ = try await convert("golden/hybrid-gpt2-add/llm", "int8")
        let slm = folder.path + "/slm"
        let ending = try await l2s(
            "convert", Fixtures.path("golden/hybrid-gpt2-add/slm"), "--dtype", "int8",
            "--output", slm)
        #expect(ending.status == 0)
        #expect(!ending.remarks.contains("l2s.json"), "\(ending.remarks)")
        let documents = try GoldenCase.load("hybrid-gpt2-add").map(\.document)
        let original = Fixtures.path("golden/hybrid-gpt2-add/slm")
        let expected = try await Generated.run(["--model", original, "--dtype", "int8"], documents)
        let found = try await Generated.run(["--model", slm], documents)
        #expect(found.map(\.tokenIds) == expected.map(\.tokenIds))
    }

    @Test func aSmallModelAloneIsToldWhatItLacks() async throws {
        let slm = folder.path + "/slm"
        let ending = try await l2s(
            "convert", Fixtures.path("golden/hybrid-t5-cross/slm"), "--dtype", "int8", "--output",
            slm)
        #expect(ending.status == 0)
        #expect(ending.remarks.contains("its l2s.json names ../llm"))
    }

    @Test func foldersThatLeadToTheOutputAreMade() async throws {
        let model = Fixtures.path("golden/t5-v1.0/llm")
        let deep = folder.path + "/packed/models/llm"
        let ending = try await l2s("convert", model, "--dtype", "int8", "--output", deep)
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(try await l2s("inspect", deep).status == 0)
    }

    @Test func inspectSaysHowAFolderIsPacked() async throws {
        let original = try await l2s("inspect", Fixtures.path("golden/t5-v1.0/llm"))
        _ = try await convert("golden/t5-v1.0/llm", "int8")
        let ending = try await l2s("inspect", output)
        #expect(ending.status == 0, "\(ending.remarks)")
        for words in [
            "packed as int8: encoder, decoder", "in float32", "shared.weight", "tied", "relu",
            "F32, int8", "llm, slm",
        ] {
            #expect(ending.output.contains(words), "\(words) in \(ending.output)")
        }
        // The encoder's weights are the same ones, wherever they lie now.
        func parameters(_ output: String) throws -> Substring {
            let row = try #require(
                output.split(separator: "\n").first { $0.hasPrefix("encoder ") })
            return row.split(separator: " ")[1]
        }
        #expect(try parameters(ending.output) == parameters(original.output))
    }

    @Test func inspectSaysWhatRoundingCosts() async throws {
        struct Report: Decodable {
            struct Matrix: Decodable {
                let matrix: String
                let loss: Double?
            }
            let rounding: [Matrix]
        }
        let original = Fixtures.path("golden/t5-v1.0/llm")
        let text = try await l2s("inspect", original, "--rounding")
        #expect(text.status == 0, "\(text.remarks)")
        #expect(text.output.contains("int8 rounds away"), "\(text.output)")
        let json = try await l2s("inspect", original, "--rounding", "--json")
        let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
        // Three layers that read, two that write and attend to what was read, and the head.
        let expected = 3 * 4 + 2 * 7 + 1
        #expect(report.rounding.count == expected)
        for matrix in report.rounding {
            #expect((0.001...0.02).contains(matrix.loss ?? 0), "\(matrix)")
        }
    }

    /// Packed folders say themselves how their weights are held.
    @Test func withoutANumberTypeTheModelDecides() async throws {
        struct Report: Decodable { let dtype: String }
        _ = try await convert("golden/t5-v1.0/llm", "bfloat16")
        let models = [
            (Fixtures.path("pair/models/llm"), "int8"),
            (Fixtures.path("golden/t5-v1.0/llm"), "float32"), (output, "bfloat16"),
        ]
        for (model, expected) in models {
            let ending = try await l2s(
                "bench", "engine", "--model", model, "--batch-sizes", "1", "--source-length", "8",
                "--new-tokens", "2", "--repetitions", "1", "--json")
            let report = try JSONDecoder().decode(Report.self, from: Data(ending.output.utf8))
            #expect(report.dtype == expected)
        }
    }

    @Test func aRefusalNamesBothSidesAndTheRemedy() async throws {
        _ = try await convert("golden/t5-v1.0/llm", "int8")
        let document = Array(#"{"document":"one"}"#.utf8)
        let mixed = try await BuiltProgram("l2s").run(
            ["generate", "--model", output, "--dtype", "float32"], input: document)
        #expect(mixed.status == 2)
        #expect(mixed.remarks.contains("packed as int8; set dtype to int8"), "\(mixed.remarks)")

        let occupied = try await convert("golden/t5-v1.0/llm", "bfloat16")
        #expect(occupied.status == 2)
        #expect(occupied.remarks.contains("new or empty"))
        let again = try await l2s(
            "convert", output, "--dtype", "int8", "--output", folder.path + "/again")
        #expect(again.status == 2)
        #expect(again.remarks.contains("packed as int8 already"))
        #expect(try await convert("golden/t5-v1.0/llm", "int3").status == 64)
    }

    /// As a full disk would, a limit on the size of files stops the write in the middle.
    @Test func aFullDiskLeavesNothingBehind() async throws {
        let ending = try await BuiltProgram(path: "/bin/sh").run([
            "-c", #"trap "" XFSZ; ulimit -f 100; exec "$0" "$@""#, BuiltProgram("l2s").path,
            "convert", Fixtures.path("golden/t5-v1.0/llm"), "--dtype", "float32", "--output",
            output,
        ])
        #expect(ending.status == 2)
        #expect(ending.remarks.contains("cannot write it: File too large"), "\(ending.remarks)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
}
