import Foundation
import Postgres
import TestSupport
import Testing

/// Damage to the files of a model while a worker has them mapped.
@Suite(.timeLimit(.minutes(15))) struct ModelFileTests {
    @Test func aFileThatIsCutOffIsNamedByTheWorkerThatDiesOfIt() async throws {
        let folder = try ScratchFolder()
        let packed = try await BuiltProgram("l2s").run([
            "convert", Fixtures.path("golden/t5-v1.0/llm"), "--dtype", "int8", "--output",
            folder.path + "/models/llm",
        ])
        #expect(packed.status == 0, "\(packed.remarks)")
        try FileManager.default.createDirectory(
            atPath: folder.path + "/jobs", withIntermediateDirectories: true)
        try folder.write(
            "jobs/short.yaml",
            "name: short\nmode: llm\nllm: llm\ndtype: int8\nprompt: \"{document}\"\n"
                .utf8)
        let stand = try await TestStand()
        func start() throws -> WorkerProgram {
            try stand.startWorker(
                "--jobs", folder.path + "/jobs", "--models", folder.path + "/models")
        }
        let worker = try start()
        try await stand.waitUntilRegistered(worker)
        let file = folder.path + "/models/llm/packed.safetensors"
        let handle = try FileHandle(forWritingTo: URL(filePath: file))
        try handle.truncate(atOffset: 4_096)
        try handle.close()
        try await stand.sql.query("SELECT l2s.enqueue('short', 'text')")
        #expect(await worker.waitForExit().code == nil, "a signal ends it")
        #expect(
            worker.log.contains("l2s: \(file) was cut off while it was in use"), "\(worker.log)")

        // Other workers do not start with that file, so the document is charged once.
        let next = try start()
        #expect(await next.waitForExit().code == 78, "\(next.log)")
        #expect(try await stand.count("l2s.queue WHERE crashes <= 1") == 1)
    }
}
