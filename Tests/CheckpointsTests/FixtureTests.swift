import Foundation
import TestSupport
import Testing

/// The fixtures are what they were when their expected values were computed.
@Suite struct FixtureTests {
    @Test func agreeWithManifest() throws {
        let check = Process()
        check.executableURL = URL(filePath: "/usr/bin/sha256sum")
        check.arguments = ["--check", "--strict", "--quiet", "MANIFEST.sha256"]
        check.currentDirectoryURL = URL(filePath: Fixtures.folder)
        try check.run()
        check.waitUntilExit()
        #expect(check.terminationStatus == 0)
    }

    @Test func areAllListed() throws {
        let manifest = try String(
            contentsOfFile: Fixtures.path("MANIFEST.sha256"), encoding: .utf8)
        let listed = Set(manifest.split(separator: "\n").map { String($0.dropFirst(66)) })
        let found = try FileManager.default.subpathsOfDirectory(atPath: Fixtures.folder)
            .filter { path in
                var isFolder: ObjCBool = false
                return FileManager.default.fileExists(
                    atPath: Fixtures.path(path), isDirectory: &isFolder) && !isFolder.boolValue
            }
        #expect(Set(found).subtracting(listed) == ["MANIFEST.sha256", "README.md"])
        #expect(listed.isSubset(of: found))
    }
}
