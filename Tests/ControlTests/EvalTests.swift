import Foundation
import FoundationXML
import TestSupport
import Testing

/// `l2s eval` on the golden models.
@Suite struct EvalTests {
    private let scratch: ScratchFolder
    private let golden: Golden

    init() throws {
        scratch = try ScratchFolder()
        golden = try Golden.load("hybrid-t5-cross")
        try scratch.copy(fixture: "golden/hybrid-t5-cross/llm")
        try scratch.copy(fixture: "golden/hybrid-t5-cross/slm")
        try FileManager.default.createDirectory(
            atPath: scratch.path + "/jobs", withIntermediateDirectories: true)
        try scratch.write(
            "jobs/pair.yaml",
            "name: pair\nmode: hybrid\nllm: llm\nslm: slm\ndtype: float32\nprompt: '{document}'\nlimits: {new_tokens: 24}\n"
                .utf8)
    }

    private func eval(_ pairs: String, _ arguments: String...) async throws
        -> RunningProgram.Ending
    {
        try await eval(pairs, arguments)
    }

    private func eval(_ pairs: String, _ arguments: [String]) async throws
        -> RunningProgram.Ending
    {
        let file = try scratch.write("pairs.jsonl", pairs.utf8)
        return try await BuiltProgram("l2s").run(
            [
                "eval", "--job-type", "pair", "--data", file, "--jobs", scratch.path + "/jobs",
                "--models", scratch.path, "--threads", "2", "--resamples", "50",
            ] + arguments)
    }

    private var pairs: String {
        get throws {
            try golden.cases.map(\.document).filter { !$0.allSatisfy(\.isWhitespace) }.map {
                let pair = ["source": $0, "target": "what is in \($0.prefix(20))"]
                return String(
                    decoding: try JSONSerialization.data(withJSONObject: pair), as: UTF8.self)
            }.joined(separator: "\n")
        }
    }

    private struct Found: Decodable {
        struct Interval: Decodable {
            let score: Double
            let low: Double
            let high: Double
        }
        struct Row: Decodable {
            let variant: String
            let equalOutputs: Double
            let failures: Int
            let tokensOut: Int
            let acceptance: Double?
            let fallbackShare: Double?
            let operationsPerToken: Double
            let bytesPerToken: Double
            let documentsPerS: Double
            let scores: [String: Interval]
            let differences: [String: Interval]
        }
        let documents: Int
        let rows: [Row]
        let leftOut: [String]
    }

    private func read(_ output: String) throws -> Found {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Found.self, from: Data(output.utf8))
    }

    /// Trains a soft prompt for the LLM with `l2s train`, as model `tuned`.
    private func trainPromptTuned() async throws {
        let data = try scratch.write("train.jsonl", pairs.utf8)
        let recipe = try scratch.write(
            "recipe.yaml",
            """
            output: tuned
            prompt: '{document}'
            architecture: whole_t5
            start: {checkpoint: llm, frozen: true}
            sizes: {soft_prompt: 4}
            data: {train: \(data), validation: \(data)}
            length: {steps: 1}
            """.utf8)
        let ending = try await BuiltProgram("l2s").run(["train", recipe, "--models", scratch.path])
        #expect(ending.status == 0, "\(ending.remarks)")
    }

    @Test func promptsThatHoldMetadataAskForIt() async throws {
        try scratch.write(
            "jobs/named.yaml",
            "name: named\nmode: llm\nllm: llm\nprompt: '{metadata.word} {document}'\nlimits: {new_tokens: 4}\n"
                .utf8)
        let flags = ["--job-type", "named", "--variants", "llm", "--alone", "0"]
        let without = try await eval(try pairs, flags)
        #expect(without.status == 64 && without.remarks.contains("expected --metadata word=…"))
        let with = try await eval(try pairs, flags + ["--metadata", "word=one", "--json"])
        #expect(with.status == 0, "\(with.remarks)")
        #expect(try read(with.output).rows.allSatisfy { $0.failures == 0 && $0.tokensOut > 0 })
    }

    /// A timeout of the queue's would end what waits behind the other pairs: slow machines and large
    /// models would get bad scores.
    @Test func noPairIsGivenUpBecauseItWaited() async throws {
        try scratch.write(
            "jobs/impatient.yaml",
            "name: impatient\nmode: llm\nllm: llm\nprompt: '{document}'\ntimeout: 100ms\n".utf8)
        let many = Array(repeating: try pairs, count: 40).joined(separator: "\n")
        let flags = ["--job-type", "impatient", "--variants", "llm", "--alone", "0", "--json"]
        let ending = try await eval(many, flags + ["--chunk", "10000"])
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(try read(ending.output).rows.allSatisfy { $0.failures == 0 })
    }

    @Test func comparesAllVariantsInOneRun() async throws {
        let report = scratch.path + "/report"
        try await trainPromptTuned()
        let ending = try await eval(
            try pairs, "--json", "--report", report, "--alone", "3", "--chunk", "5",
            "--baseline", "tuned", "--baseline", "llm")
        #expect(ending.status == 0, "\(ending.remarks)")
        let found = try read(ending.output)
        let rows = Dictionary(uniqueKeysWithValues: found.rows.map { ($0.variant, $0) })
        #expect(
            found.rows.map(\.variant) == [
                "llm", "hybrid", "fallback", "speculative", "slm", "prompt-tuned, tuned",
                "slm, llm", "llm-int8", "hybrid-int8",
                "llm, 1 of 2 decoder layers",
            ])
        #expect(found.leftOut.isEmpty)
        let llm = try #require(rows["llm"])
        let speculative = try #require(rows["speculative"])
        #expect(speculative.equalOutputs == 1)
        #expect(speculative.acceptance.map { (0...1).contains($0) } == true)
        #expect(speculative.scores["rougeL"]?.score == llm.scores["rougeL"]?.score)
        #expect(speculative.differences["chrf"]?.high == 0)
        let share = try #require(rows["fallback"]?.fallbackShare)
        #expect(abs(share - 0.2) < 0.15)
        // As a baseline the LLM writes what it writes as `llm`; behind learned vectors it does not.
        #expect(try #require(rows["slm, llm"]).equalOutputs == 1)
        let tuned = try #require(rows["prompt-tuned, tuned"])
        #expect(tuned.equalOutputs < 1)
        #expect(tuned.operationsPerToken > llm.operationsPerToken)
        let cut = try #require(rows["llm, 1 of 2 decoder layers"])
        #expect(cut.equalOutputs < 1)
        #expect(cut.operationsPerToken < llm.operationsPerToken)
        let int8 = try #require(rows["llm-int8"])
        #expect(int8.bytesPerToken < llm.bytesPerToken / 3)
        for row in found.rows {
            #expect(row.failures == 0 && row.tokensOut > 0 && row.documentsPerS > 0)
            for score in row.scores.values {
                #expect(score.low <= score.score + 1e-9 && score.score <= score.high + 1e-9)
            }
        }
        // What README.md of the report shows.
        let page = try String(contentsOfFile: report + "/README.md", encoding: .utf8)
        for file in ["quality-time.svg", "time-length.svg", "fallback.svg"] {
            #expect(page.contains(file))
            let picture = try Data(contentsOf: URL(filePath: report + "/" + file))
            #expect(XMLParser(data: picture).parse(), "\(file)")
        }
        #expect(page.contains("| speculative |"))
    }

    @Test(arguments: [
        (
            "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \"a\"}", "line 2: ",
            "no \"target\""
        ),
        ("{\"source\": \"a\", \"target\": \" \"}", "line 1: ", "\"target\" to hold text"),
        ("{\"source\": 3, \"target\": \"b\"}", "line 1: ", "another value of \"source\""),
        ("secret words", "line 1: ", "found none"), ("", "pairs.jsonl: ", "found none"),
    ])
    func pairsThatCannotBeUsedAreNamed(pairs: String, place: String, problem: String) async throws {
        let ending = try await eval(pairs)
        #expect(ending.status == 2)
        #expect(
            ending.remarks.contains(place) && ending.remarks.contains(problem), "\(ending.remarks)")
        #expect(!ending.remarks.contains("secret"))
    }

    @Test func whatIsAskedWronglyIsRefused() async throws {
        let unknown = try await eval(try pairs, "--job-type", "nothing")
        #expect(unknown.status == 2)
        #expect(unknown.remarks.contains("to be one of pair, got nothing"))
        let kind = try await eval(try pairs, "--variants", "llm,hybird")
        #expect(kind.status == 64)
        #expect(kind.remarks.contains("got hybird"))
        let baseline = try await eval(try pairs, "--baseline", "nowhere")
        #expect(baseline.status == 2)
        #expect(baseline.remarks.contains("nowhere"), "\(baseline.remarks)")
    }
}
