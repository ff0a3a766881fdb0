import FoundationEssentials

/// An empty folder for one test. It is removed with everything in it when the object goes.
package final class ScratchFolder: Sendable {
    package let path: String

    package init() throws {
        path =
            FileManager.default.temporaryDirectory
            .appending(path: "l2s-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    @discardableResult
    package func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(filePath: file))
        return file
    }

    /// Copies a fixture into the folder, under its own last name or another.
    package func copy(fixture: String, as name: String? = nil) throws {
        let name = name ?? fixture.split(separator: "/").last.map(String.init) ?? fixture
        try FileManager.default.copyItem(
            atPath: Fixtures.path(fixture), toPath: path + "/" + name)
    }
}
