import Foundation
import Glibc
import Programs
import Training

/// A file with the labels of a run that may be interrupted. Its first line names the job type and the
/// file of documents; a line for each document follows, in their order.
///
/// `@unchecked Sendable`, because one thread appends at a time, and nobody reads before it is done.
final class LabelJournal: @unchecked Sendable {
    let path: String
    /// How many documents have a line.
    private(set) var count = 0
    private let file: FileHandle

    struct Label: Codable {
        var text: String?
        var isCutOff = false
        var reading = PairFilter.Reading.whole
        var error: String?
    }

    private struct Header: Codable, Equatable {
        let job: String
        let file: String
        let bytes: Int
    }

    /// Opens the journal of an earlier run, or begins one.
    ///
    /// - Parameters:
    ///   - job: the job type as text, with every field that decides about a label.
    ///   - file: the path of the documents.
    /// - Throws: `Failure` if the file holds the labels of another run, or cannot be written.
    init(path: String, job: String, file: String) throws {
        self.path = path
        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
        let header = try JSONEncoder().encode(Header(job: job, file: file, bytes: size))
        if !FileManager.default.fileExists(atPath: path) {
            guard FileManager.default.createFile(atPath: path, contents: nil) else {
                throw Failure("\(path): cannot write it: \(String(cString: strerror(errno)))")
            }
        }
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw Failure("\(path): cannot open it: \(String(cString: strerror(errno)))")
        }
        self.file = handle
        let found = try handle.readToEnd() ?? Data()
        // A line that a killed run left half written is written again.
        let whole = found[..<((found.lastIndex(of: Self.newline) ?? -1) + 1)]
        if whole.isEmpty {
            try handle.truncate(atOffset: 0)
            try write(header + [Self.newline])
        } else {
            let lines = whole.split(separator: Self.newline)
            guard let first = lines.first,
                let old = try? JSONDecoder().decode(Header.self, from: first),
                old == (try JSONDecoder().decode(Header.self, from: header))
            else {
                throw Failure(
                    "\(path): expected the labels of this job type and file, found others; finish "
                        + "that run, or remove the file")
            }
            try handle.truncate(atOffset: UInt64(whole.count))
            count = lines.count - 1
        }
    }

    func append(_ lines: [GeneratedLine]) throws {
        var text = Data()
        for line in lines {
            let label = Label(
                text: line.text, isCutOff: line.cutOff == true,
                reading: .init(truncated: line.truncated == true, parts: line.parts ?? 1),
                error: line.error)
            text += try JSONEncoder().encode(label) + [Self.newline]
        }
        try write(text)
        count += lines.count
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }

    private static let newline = UInt8(ascii: "\n")

    private func write(_ text: Data) throws {
        do {
            try file.write(contentsOf: text)
        } catch {
            throw Failure(
                "\(path): cannot write it: \(error.localizedDescription); make room, then run the "
                    + "same command again")
        }
    }
}
