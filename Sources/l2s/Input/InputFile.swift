import Dispatch
import Glibc
import Programs

/// A file or standard input, read as it is asked for and never ahead of that.
///
/// Reads wait on a queue of their own, so a slow pipe blocks nobody.
struct InputFile: ~Copyable {
    /// How messages call it.
    let name: String
    private let descriptor: Int32
    private let queue = DispatchQueue(label: "l2s input")
    /// Bytes read; those before `start` are used up.
    private var pending: [UInt8] = []
    private var start = 0
    private var atEnd = false
    /// In bytes; nil unless this is a regular file.
    private let size: Int?
    private var bytesRead = 0

    /// How much of the input has been read, 0 to 1; nil when its size is unknown.
    var fractionRead: Double? { size.map { $0 > 0 ? min(1, Double(bytesRead) / Double($0)) : 1 } }

    /// The longest line or document taken in, in bytes: more than any job type accepts.
    static let limit = 128_000_000

    enum Piece {
        case bytes([UInt8])
        /// Longer than `limit`. It was skipped to its end.
        case tooLong
    }

    /// - Parameter path: `-` for standard input.
    init(path: String) throws {
        guard path != "-" else {
            name = "standard input"
            descriptor = STDIN_FILENO
            size = Self.size(of: descriptor)
            return
        }
        name = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            size = nil
            throw Self.failure(path)
        }
        size = Self.size(of: descriptor)
    }

    private static func size(of descriptor: Int32) -> Int? {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return Int(status.st_size)
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// The next line without its end. Nil after the last.
    mutating func nextLine() async throws -> Piece? {
        var scanned = start
        var isTooLong = false
        while true {
            if let end = pending[scanned...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { start = end + 1 }
                return isTooLong ? .tooLong : .bytes(Self.trimmed(pending[start..<end]))
            }
            if pending.count - start > Self.limit {
                isTooLong = true
                start = pending.count
            }
            pending.removeFirst(start)
            start = 0
            scanned = pending.count
            guard try await readMore() else {
                defer { pending = [] }
                if isTooLong { return .tooLong }
                return pending.isEmpty ? nil : .bytes(Self.trimmed(pending[...]))
            }
        }
    }

    /// The rest of the input.
    mutating func rest() async throws -> Piece {
        while pending.count - start <= Self.limit {
            guard try await readMore() else { return .bytes(Array(pending[start...])) }
        }
        return .tooLong
    }

    /// False at the end.
    private mutating func readMore() async throws -> Bool {
        guard !atEnd else { return false }
        var chunk = try await readChunk()
        // Some editors put a byte order mark in front of a file. It is not part of the text. A pipe
        // may give it a byte at a time.
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        while bytesRead == 0, (1..<mark.count).contains(chunk.count), mark.starts(with: chunk) {
            let more = try await readChunk()
            guard !more.isEmpty else { break }
            chunk += more
        }
        pending += bytesRead == 0 && chunk.starts(with: mark) ? Array(chunk.dropFirst(3)) : chunk
        bytesRead += chunk.count
        atEnd = chunk.isEmpty
        return !atEnd
    }

    private func readChunk() async throws -> [UInt8] {
        let (descriptor, name) = (descriptor, name)
        return try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try Self.read(descriptor, name) }) }
        }
    }

    private static func read(_ descriptor: Int32, _ name: String) throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count >= 0 { return Array(chunk.prefix(count)) }
            guard errno == EINTR else { throw failure(name) }
        }
    }

    private static func failure(_ name: String) -> Failure {
        Failure("cannot read \(name): \(String(cString: strerror(errno)))")
    }

    /// Without the CR of lines that end with CR LF.
    private static func trimmed(_ line: ArraySlice<UInt8>) -> [UInt8] {
        Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
    }
}
