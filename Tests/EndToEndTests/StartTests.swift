import TestSupport
import Testing

/// What a worker says when it cannot start, and its exit codes.
@Suite(.timeLimit(.minutes(15))) struct StartTests {
    @Test(arguments: [
        ([], "expected --database-url or L2S_DATABASE_URL to be a PostgreSQL address"),
        (["--threads", "0"], "expected --threads to be"),
        (["--lease", "soon"], "expected --lease to be"),
        (["--jobs", "no-such-folder"], "expected --jobs to be a folder that exists"),
    ])
    func badSettings(arguments: [String], words: String) async throws {
        let worker = try WorkerProgram(arguments)
        #expect(await worker.waitForExit().code == 64)
        #expect(worker.log.contains(words), "\(worker.log)")
    }

    @Test func aBadJobFile() async throws {
        let folder = try ScratchFolder()
        try folder.write("mine.yaml", "name: mine\nmode: fast\n".utf8)
        let worker = try WorkerProgram([
            "--database-url", "postgresql://nobody@nowhere/nothing", "--jobs", folder.path,
        ])
        #expect(await worker.waitForExit().code == 64)
        #expect(worker.log.contains("mine.yaml:2: expected mode to be"), "\(worker.log)")
    }

    @Test func modelsThatAreMissing() async throws {
        let folder = try ScratchFolder()
        let worker = try WorkerProgram([
            "--database-url", "postgresql://nobody@nowhere/nothing", "--models", folder.path,
        ])
        #expect(await worker.waitForExit().code == 78)
        #expect(worker.log.contains("job type summarize"), "\(worker.log)")
    }

    @Test func anUnreachableDatabase() async throws {
        let folder = try ScratchFolder()
        let worker = try WorkerProgram(
            [],
            environment: [
                "L2S_DATABASE_URL": "postgresql://me:secret@/work?host=\(folder.path)"
            ])
        #expect(await worker.waitForExit().code == 69)
        let last = worker.log.split(separator: "\n").last ?? ""
        #expect(last.hasPrefix("l2s-worker: gave up after 6 tries: cannot connect"))
        #expect(last.contains(folder.path))
        #expect(!worker.log.contains("secret"))
    }

    @Test func aDatabaseWithoutTheSchema() async throws {
        let database = try await TestDatabase(migrated: false)
        let worker = try WorkerProgram(["--database-url", database.connectionString])
        #expect(await worker.waitForExit().code == 78)
        #expect(worker.log.contains("run l2s migrate"), "\(worker.log)")
    }
}
