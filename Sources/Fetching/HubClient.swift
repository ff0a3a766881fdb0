import Foundation

/// Asks a hub with curl, which knows the machine's proxies, certificates and protocols, and
/// continues a download that was interrupted.
struct HubClient {
    /// Without a slash at its end.
    let endpoint: String
    /// Sent to the endpoint alone. curl does not send it to servers that files are redirected to.
    let token: String?
    let curl: String
    /// The environment that curl gets: it names proxies and certificates.
    let environment: [String: String]

    /// In bytes. The header with the token fits into a pipe that nobody has read from yet.
    private static let longestToken = 4_000

    /// What is wrong with a token, without the token itself.
    ///
    /// curl would read what follows a quote, a backslash or a line end as options.
    static func flaw(of token: String) -> String? {
        if token.utf8.count > longestToken {
            return "expected at most \(longestToken) bytes, found \(token.utf8.count)"
        }
        let isVisible = token.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 34 && $0 != 92 }
        return isVisible ? nil : "expected letters, digits, \"_\" and \"-\", found other signs"
    }

    enum Failure: Error, Equatable {
        /// 0 where no answer came.
        case status(Int)
        case missingProgram
        /// A transfer that failed, with curl's exit code; its manual lists them.
        case transfer(code: Int32)
    }

    /// The text of an answer, which curl writes to `file` first.
    func text(_ path: String, via file: String) throws -> Data {
        try? FileManager.default.removeItem(atPath: file)
        try run(path, ["--output", file, "--silent"], showsProgress: false)
        defer { try? FileManager.default.removeItem(atPath: file) }
        return try Data(contentsOf: URL(fileURLWithPath: file))
    }

    /// Downloads to a file. Where a part of it is there, the download continues after it.
    func download(_ path: String, to file: String) throws {
        try run(
            path, ["--continue-at", "-", "--output", file, "--progress-bar"], showsProgress: true)
    }

    private func run(
        _ path: String, _ arguments: [String], showsProgress: Bool
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        // curl gets the token on its standard input: arguments appear in lists of processes.
        process.environment = environment
        process.arguments =
            [
                curl, "--fail", "--location", "--retry", "3", "--retry-connrefused",
                "--connect-timeout", "30", "--speed-time", "60", "--speed-limit", "1",
                "--write-out", "%{stderr}status %{http_code}\\n", "--config", "-",
            ] + arguments + ["\(endpoint)/\(path)"]
        let (input, errors) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        // The pipe holds the header before there is a curl: writing to one that has ended already
        // would end this program, too (SIGPIPE).
        let header = token.map { "header = \"Authorization: Bearer \($0)\"\n" } ?? ""
        try? input.fileHandleForWriting.write(contentsOf: Data(header.utf8))
        do {
            try process.run()
        } catch {
            throw Failure.missingProgram
        }
        try? input.fileHandleForWriting.close()
        let status = Self.follow(errors.fileHandleForReading, isShown: showsProgress)
        process.waitUntilExit()
        switch process.terminationStatus {
        case 0: return
        case 127: throw Failure.missingProgram
        // Nothing was left to download. The hash will tell whether the file is right.
        case 22 where status == 416: return
        case 22: throw Failure.status(status)
        case let code: throw Failure.transfer(code: code)
        }
    }

    /// Passes curl's progress on, and finds the status in its last line.
    private static func follow(_ errors: FileHandle, isShown: Bool) -> Int {
        var tail = Data()
        while true {
            let part = errors.availableData
            guard !part.isEmpty else { break }
            tail = (tail + part).suffix(200)
            if isShown, !part.starts(with: Data("status".utf8)) {
                FileHandle.standardError.write(part)
            }
        }
        let words = String(decoding: tail, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return words.lastIndex(of: "status").flatMap { place in
            place + 1 < words.count ? Int(words[place + 1]) : nil
        } ?? 0
    }
}
