import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Watch

/// Clients of a worker's port cannot use up what the worker needs.
@Suite(.timeLimit(.minutes(15))) struct WatchLimitTests {
    /// Three hundred at once begin a request and never end it.
    @Test(.enabled(if: BuiltProgram(installed: "bash") != nil, "needs bash"))
    func requestsThatNeverEndAreFewAndAreClosed() async throws {
        let stand = try await TestStand()
        let worker = try stand.startWorker("--http-address", "127.0.0.1:0")
        let address = try await worker.watchAddress()
        try await stand.waitUntilRegistered(worker)
        func descriptors() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker.processID)/fd")
                .count
        }
        let before = try descriptors()
        let folder = try ScratchFolder()
        let port = address.split(separator: ":").last.map(String.init) ?? ""
        // The crowd counts the worker's descriptors itself: this process may stand still for longer than
        // the worker lets requests wait.
        let crowd = try #require(BuiltProgram(installed: "bash")).start([
            "-c",
            """
            most=0
            count() { open=(/proc/\(worker.processID)/fd/*); (( ${#open[@]} > most )) && most=${#open[@]}; }
            for i in {1..300}; do
                exec {connection}<>/dev/tcp/127.0.0.1/\(port)
                printf 'GET / HTTP/1.1\\r\\n' >&$connection
                count
            done
            until (( most > \(before + 100) )); do count; done
            echo $most > \(folder.path)/counted
            mv \(folder.path)/counted \(folder.path)/most
            exec tail -f /dev/null
            """,
        ])
        defer { crowd.send(SIGKILL) }
        let file = folder.path + "/most"
        try await eventually("over a hundred of 300 are taken at once; \(worker.log)") {
            FileManager.default.fileExists(atPath: file)
        }
        let counted = try String(contentsOfFile: file, encoding: .utf8)
        let most = try #require(Int(counted.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(most < before + 180, "\(most) of \(before)")
        // A whole request is answered once the first of the others are closed.
        #expect(try await Answer("\(address)/healthz").status == 200)
        try await eventually("the rest is closed; \(worker.log)") {
            try descriptors() < before + 20
        }
    }

    @Test func pagesThatAreAskedForTogetherShareOneLook() async throws {
        let (looks, asked) = (Count(), Count())
        let feed = LiveFeed {
            looks.add()
            try? await eventually("all have asked") { asked.value == 200 }
            return "{}"
        }
        await withTaskGroup(of: String.self) { group in
            for _ in 1...200 {
                group.addTask {
                    asked.add()
                    return await feed.latest()
                }
            }
            for await text in group { #expect(text == "{}") }
        }
        #expect(looks.value == 1)
    }

    private final class Count: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func add() { count.withLock { $0 += 1 } }
    }
}
