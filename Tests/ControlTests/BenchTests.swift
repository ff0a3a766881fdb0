import Foundation
import TestSupport
import Testing

/// `l2s bench`: that it measures something, and what it says when it cannot.
@Suite struct BenchTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func bench(
        _ arguments: String..., kernels: String = ""
    ) async throws -> RunningProgram.Ending {
        let quick = ["--repetitions", "1", "--batch-sizes", "1,3", "--new-tokens", "2"]
        return try await BuiltProgram("l2s").run(
            ["bench"] + arguments + quick, environment: ["L2S_KERNELS": kernels])
    }

    @Test func theTableAndTheSavedFiguresNameTheKernels() async throws {
        let file = folder.path + "/new/engine.json"
        let ending = try await bench(
            "engine", "--model", Fixtures.path("golden/t5-v1.1/llm"), "--dtype", "int8", "--save",
            file, kernels: "portable")
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.output.contains("kernels portable"))
        let saved = try String(contentsOfFile: file, encoding: .utf8)
        #expect(saved.contains(#""kernels":"portable""#))
        #expect(saved.contains(#""batch_size":3"#))
        #expect(ending.output.contains("of floor"))
        struct Report: Decodable {
            struct Floor: Decodable { let giga_operations, gigabytes: Double }
            struct Result: Decodable { let encode_giga_operations: Double }
            struct Shares: Decodable { let batch_size: Int, encode, step: Double }
            let floor: Floor
            let results: [Result]
            let shares: [Shares]
        }
        let report = try JSONDecoder().decode(Report.self, from: Data(saved.utf8))
        #expect(report.floor.giga_operations > 0 && report.floor.gigabytes > 0)
        #expect(report.shares.map(\.batch_size) == [1, 3])
        for (share, result) in zip(report.shares, report.results) {
            let expected = result.encode_giga_operations / report.floor.giga_operations
            #expect(abs(share.encode - expected) <= 1e-9 * expected)
            #expect(share.step > 0)
        }
    }

    @Test func modesAreComparedStepByStep() async throws {
        let ending = try await bench(
            "modes", "--model", Fixtures.path("golden/hybrid-t5-add/slm"), "--json")
        #expect(ending.status == 0, "\(ending.remarks)")
        for mode in ["llm", "hybrid", "slm"] {
            #expect(ending.output.contains(#""mode":"\#(mode)""#))
        }
        #expect(ending.output.contains(#""ceiling":"#))
    }

    @Test func aWorkerIsComparedWithItsEngine() async throws {
        let ending = try await BuiltProgram("l2s").run(
            [
                "bench", "worker", "--documents", "3", "--rounds", "1", "--outputs", "1,3",
                "--json",
            ])
        #expect(ending.status == 0, "\(ending.remarks)")
        struct Report: Decodable {
            struct Round: Decodable { let outputs: Int, engine, worker, reading, writing: Double }
            struct Tokens: Decodable { let read, written: Int }
            let rounds: [Round]
            let tokens: Tokens
            let engine_peak_memory_mi_b, worker_peak_memory_mi_b: Double
        }
        let report = try JSONDecoder().decode(Report.self, from: Data(ending.output.utf8))
        #expect(report.rounds.map(\.outputs) == [1, 3])
        for round in report.rounds { #expect(round.engine > 0 && round.worker > 0) }
        #expect(report.tokens.read > report.tokens.written && report.tokens.written > 3)
        // Both hold the models.
        #expect(min(report.engine_peak_memory_mi_b, report.worker_peak_memory_mi_b) > 30)
    }

    @Test func documentsOfAnUnknownJobTypeAreRefused() async throws {
        let file = folder.path + "/documents.jsonl"
        try #"{"job_type": "sing", "document": "la"}"#
            .write(toFile: file, atomically: true, encoding: .utf8)
        let ending = try await BuiltProgram("l2s").run(["bench", "worker", "--data", file])
        #expect(ending.status != 0)
        #expect(ending.remarks.contains("line 1: expected \"job_type\" to be one of"))
        #expect(ending.remarks.contains("found sing"))
        #expect(!ending.remarks.contains("la\""))
    }

    @Test func whatPagesCostIsTold() async throws {
        let ending = try await BuiltProgram("l2s").run(
            ["bench", "pages", "--pages", "3", "--rounds", "1", "--seconds", "4", "--json"])
        #expect(ending.status == 0, "\(ending.remarks)")
        struct Report: Decodable {
            struct Turn: Decodable {
                let documents_per_s, worker_ms_per_s, database_ms_per_s: Double
            }
            let rounds: [[String: Turn]]
            let bytes_per_page: Double
        }
        let report = try JSONDecoder().decode(Report.self, from: Data(ending.output.utf8))
        let round = try #require(report.rounds.first)
        #expect(round["watched"]?.database_ms_per_s ?? 0 > 0)
        #expect(round["unwatched"]?.database_ms_per_s ?? 1 < 1)
        for turn in round.values {
            #expect(turn.documents_per_s > 0)
            // The lanes, which are always busy here, do not count.
            #expect((0.1...500).contains(turn.worker_ms_per_s))
        }
        #expect(report.bytes_per_page > 100)
    }

    @Test func kernelsThatDoNotRunHereAreRefused() async throws {
        let ending = try await bench(
            "engine", "--model", Fixtures.path("golden/t5-v1.1/llm"), kernels: "sse9")
        #expect(ending.status != 0)
        #expect(ending.remarks.contains("expected L2S_KERNELS to be portable"))
        #expect(ending.remarks.contains("got sse9"))
    }

    @Test func moreThreadsThanCoresDrawAWarning() async throws {
        let ending = try await bench(
            "engine", "--model", Fixtures.path("golden/t5-v1.1/llm"), "--threads", "1024")
        #expect(ending.status == 0, "\(ending.remarks)")
        #expect(ending.remarks.contains("warning: 1024 threads share"))
    }
}
