internal import Checkpoints
internal import Foundation
internal import Glibc

/// Filters labels and writes them to files of pairs, as `l2s train` reads them. A file appears
/// whole or not at all.
///
/// Not thread-safe: one thread at a time.
package final class PairWriter {
    private let filter: PairFilter
    private let train: NewTextFile
    private let validation: NewTextFile?
    private var sources: Set<UInt64> = []
    package private(set) var tally = PairTally()
    package private(set) var validationPairs = 0

    /// One pair in this many is for validation.
    package static let validationShare: UInt64 = 50

    /// - Parameters:
    ///   - path: the file of the pairs to train on.
    ///   - validation: the file that one pair in 50 goes to instead, chosen by its source alone;
    ///     nil for none.
    /// - Throws: `PairFileError`.
    package init(path: String, validation: String?, filter: PairFilter) throws {
        self.filter = filter
        train = try NewTextFile(path: path)
        self.validation = try validation.map(NewTextFile.init)
    }

    package func add(_ pair: PairFilter.Candidate) throws {
        if let reason = filter.objection(to: pair) { return tally.drop(reason) }
        var hash = Fingerprint()
        hash.mix(pair.source)
        guard sources.insert(hash.value).inserted else { return tally.drop(.duplicate) }
        tally.keep()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = try encoder.encode(["source": pair.source, "target": pair.target])
        if let validation, hash.value % Self.validationShare == 0 {
            validationPairs += 1
            try validation.write(line)
        } else {
            try train.write(line)
        }
    }

    /// Completes the files and gives them their names.
    package func finish() throws {
        try validation?.finish()
        try train.finish()
    }
}

/// A file of lines that has another name until it is whole.
private final class NewTextFile {
    private let path: String
    private let unfinished: String
    private let file: FileHandle
    private var pending = Data()
    private var isFinished = false

    init(path: String) throws {
        self.path = path
        unfinished = path + ".unfinished-\(getpid())"
        guard FileManager.default.createFile(atPath: unfinished, contents: nil),
            let file = FileHandle(forWritingAtPath: unfinished)
        else { throw PairFileError(path: path, reason: String(cString: strerror(errno))) }
        self.file = file
    }

    deinit { if !isFinished { try? FileManager.default.removeItem(atPath: unfinished) } }

    func write(_ line: Data) throws {
        pending += line
        pending.append(UInt8(ascii: "\n"))
        if pending.count > 1_000_000 { try flush() }
    }

    func finish() throws {
        try flush()
        try attempt { try file.synchronize() }
        guard rename(unfinished, path) == 0 else {
            throw PairFileError(path: path, reason: String(cString: strerror(errno)))
        }
        isFinished = true
    }

    private func flush() throws {
        try attempt { try file.write(contentsOf: pending) }
        pending = Data()
    }

    private func attempt(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
            throw PairFileError(path: path, reason: "no space left on the disk")
        } catch {
            throw PairFileError(path: path, reason: error.localizedDescription)
        }
    }
}

/// A file of pairs that cannot be written.
package struct PairFileError: Error, CustomStringConvertible {
    package let path: String
    package let reason: String

    package var description: String { "\(path): cannot write it: \(reason)" }
}
