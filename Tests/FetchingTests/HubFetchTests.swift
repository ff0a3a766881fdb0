import Foundation
import TestSupport
import Testing

@testable import Fetching

/// A model is fetched from a server that answers as a hub does: see Fixtures/hub/hub.py.
@Suite struct HubFetchTests {
    private let scratch: ScratchFolder
    private let hub: Hub
    private static let commit = "0123456789abcdef0123456789abcdef01234567"

    init() throws {
        scratch = try ScratchFolder()
        hub = try Hub(log: scratch.path + "/requests")
    }

    /// A server that runs for as long as the object lives.
    private final class Hub {
        private let process = Process()
        /// The server ends when this is closed: with this object, or with the tests, however they
        /// end.
        private let input = Pipe()
        let endpoint: String

        init(log: String) throws {
            let output = Pipe()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", Fixtures.path("hub/hub.py"), log]
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            endpoint = "http://127.0.0.1:" + line.filter(\.isNumber)
        }

        deinit { try? input.fileHandleForWriting.close() }
    }

    private func fetch(
        _ name: String, token: String? = nil, curl: String = "curl"
    ) throws -> (folder: String, revision: String, isNew: Bool) {
        var environment = ProcessInfo.processInfo.environment
        environment["HF_ENDPOINT"] = hub.endpoint + "/"
        environment["no_proxy"] = "127.0.0.1"
        environment["HF_TOKEN"] = token
        return try HubFetch(
            try #require(HubReference(name)), cache: scratch.path + "/cache",
            environment: environment, curl: curl, note: { _ in }
        ).run()
    }

    private func failure(_ name: String, token: String? = nil, curl: String = "curl") -> String {
        do {
            _ = try fetch(name, token: token, curl: curl)
            return ""
        } catch {
            return "\(error)"
        }
    }

    private var requests: [String] {
        let text = try? String(contentsOfFile: scratch.path + "/requests", encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }

    @Test func theFilesThatAreNeededArePinnedAndChecked() throws {
        // The large file's transfer breaks off in its middle. What is there is kept.
        let first = failure("hf:me/tiny")
        if !first.isEmpty { #expect(first.contains("go on where it stopped"), "\(first)") }
        let model = try first.isEmpty ? fetch("hf:me/tiny@\(Self.commit)") : fetch("hf:me/tiny")
        #expect(model.folder == scratch.path + "/cache/me/tiny")
        #expect(model.revision == Self.commit)
        let found = try FileManager.default.contentsOfDirectory(atPath: model.folder).sorted()
        #expect(
            found == [
                ".l2s-source.json", "LICENSE", "chat_template.jinja", "config.json",
                "model.safetensors", "tokenizer.json",
            ])
        let weights = try Data(
            contentsOf: URL(filePath: model.folder + "/model.safetensors"))
        #expect(weights == Data((0..<512_000).map { UInt8(truncatingIfNeeded: $0) }))
        #expect(requests.contains { $0.hasPrefix("/cdn/") && $0.hasSuffix("bytes=256000-") })
        #expect(!requests.contains { $0.contains("pytorch_model") || $0.contains("onnx") })
        #expect(
            requests.filter { $0.contains("/resolve/") }.allSatisfy { $0.contains(Self.commit) })
    }

    @Test func whatIsThereIsNotFetchedAgain() throws {
        _ = failure("hf:me/tiny")
        _ = try fetch("hf:me/tiny")
        let count = requests.count
        #expect(try !fetch("hf:me/tiny").isNew)
        // The hub is asked again for a branch, but not for a commit.
        #expect(requests.count == count + 1)
        #expect(try !fetch("hf:me/tiny@\(Self.commit)").isNew)
        #expect(requests.count == count + 1)
    }

    @Test func gatedModelsNeedAToken() throws {
        for words in [failure("hf:me/gated"), failure("hf:me/gated", token: "other")] {
            #expect(words.contains("HF_TOKEN"), "\(words)")
            #expect(words.contains(hub.endpoint + "/me/gated"))
        }
        _ = failure("hf:me/gated", token: "secret")
        #expect(try fetch("hf:me/gated", token: "secret").revision == Self.commit)
    }

    @Test func otherFilesThanTheHubSaysAreRefused() {
        _ = failure("hf:me/wrong")
        let words = failure("hf:me/wrong")
        #expect(words.contains("is not what the hub says it is"), "\(words)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/cache/me/wrong"))
    }

    @Test func whatCannotBeHadIsSaid() {
        #expect(failure("hf:me/nothing").contains("no such model"))
        #expect(failure("hf:me/tiny@v9").contains("no revision v9"))
        #expect(failure("hf:me/many").contains("a-q4.gguf, a-q8.gguf"))
        #expect(failure("hf:me/strange").contains("is it a hub?"))
        #expect(failure("hf:me/negative").contains("is it a hub?"))
        #expect(failure("hf:me/tiny", curl: "/nowhere/curl").contains("found no curl"))
    }

    /// What a program that has ended left unread would end this one, too (SIGPIPE).
    @Test func aTokenForACurlThatIsNotThereEndsNothing() {
        for size in [6, 4_000] {
            let token = String(repeating: "a", count: size)
            #expect(
                failure("hf:me/tiny", token: token, curl: "/nowhere/curl")
                    .contains("found no curl"))
        }
    }

    @Test func aTokenThatIsNoneIsRefusedInWords() {
        for token in [String(repeating: "a", count: 4_001), "two words", "a\"b", "a\nb"] {
            let words = failure("hf:me/gated", token: token)
            #expect(words.contains("HF_TOKEN is no token of a hub: expected"), "\(words)")
            #expect(!words.contains(token), "\(words)")
        }
        #expect(requests.isEmpty)
    }

    @Test func namesStayInTheCache() {
        #expect(HubReference("hf:google/flan-t5-small")?.revision == "main")
        #expect(HubReference("hf:a/b@refs/pr/1")?.revision == "refs/pr/1")
        for text in [
            "a/b", "hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/.b", "hf:a/b@",
            "hf:a/b@../c",
            "hf:a/b?c", "hf:a/b c", "hf:/b", "hf:a/\u{0}",
        ] {
            #expect(HubReference(text) == nil, "\(text)")
        }
    }

    @Test func hashesAreThoseOfGit() {
        #expect(SHA1.of(Array("abc".utf8)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(
            SHA1.of([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
                == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
        #expect(SHA1.ofGitBlob([]) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    }
}
