import Foundation
import TestSupport
import Testing

/// The fixtures are what they were when their expected values were computed.
@Suite struct FixtureTests {
    @Test func agreeWithManifest() async throws {
        let check = try await BuiltProgram(path: "/bin/sh").run(
            [
                "-c", "cd \"$0\" && sha256sum --check --strict --quiet MANIFEST.sha256",
                Fixtures.folder,
            ])
        #expect(check.status == 0, "\(check.output)\(check.remarks)")
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
