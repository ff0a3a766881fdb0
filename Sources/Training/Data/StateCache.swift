internal import Checkpoints
internal import Foundation
package import Inference
internal import Synchronization

/// The states that the frozen LLM makes of every prompt, [tokens, width] each. They are computed
/// once and kept on disk in BF16, in a mapped file, so that training needs no memory for them.
package struct StateCache: Sendable {
    /// d_llm.
    package let width: Int
    /// The file, which other trainings on the same prompts and LLM use too.
    package let path: String
    private let file: RowFile
    /// The index of each prompt's first row, and the index after the last row.
    private let starts: [Int]

    /// Tokens that one thread reads in one pass.
    private static let passTokens = 4096

    /// Opens the states of `prompts` in `folder`, and computes what is not there. If a run was
    /// killed or the disk was full, the next run continues with what was written.
    ///
    /// - Parameters:
    ///   - fingerprint: the LLM's, see `ModelFolder.fingerprint`.
    ///   - progress: called with the tokens read and all tokens. An error that it throws stops the
    ///     work.
    /// - Throws: `CheckpointError`, `NoRoom`.
    /// - Precondition: that of `Encoder.encode`.
    package init(
        _ prompts: [[Int32]], llm encoder: Encoder, fingerprint: String, folder: String,
        threads: Int, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws {
        var starts = [0]
        for prompt in prompts { starts.append(starts[starts.count - 1] + prompt.count) }
        let key = Self.key(prompts, fingerprint: fingerprint)
        let path = folder + "/\(key).states"
        if !FileManager.default.fileExists(atPath: path) {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            let writer = try RowFileWriter(path: path, key: key, width: encoder.width)
            try Self.fill(
                writer, prompts: prompts, starts: starts, encoder: encoder, folder: folder,
                threads: threads, progress: progress)
            try writer.finish()
        }
        self.width = encoder.width
        self.path = path
        self.starts = starts
        file = try RowFile(path: path, key: key, width: encoder.width)
        guard file.rows == starts[starts.count - 1] else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected \(starts[starts.count - 1]) rows, found \(file.rows); "
                        + "the file is damaged, remove it"))
        }
    }

    /// Rows of one prompt's states among those of all prompts.
    package func rows(of prompt: Int) -> Range<Int> { starts[prompt]..<starts[prompt + 1] }

    /// Copies the states of one prompt, [tokens, width], to `buffer` from its element `offset` on.
    ///
    /// - Precondition: they fit.
    package func read(_ prompt: Int, into buffer: FloatBuffer, at offset: Int) {
        let rows = rows(of: prompt)
        buffer.withFloats(offset..<offset + rows.count * width) { file.read(rows, into: $0) }
    }

    /// The bytes on the disk that the states of `tokens` take.
    package static func bytes(tokens: Int, width: Int) -> Int { tokens * width * 2 }

    private static func key(_ prompts: [[Int32]], fingerprint: String) -> String {
        var hash = Fingerprint()
        hash.mix(fingerprint)
        for prompt in prompts {
            hash.mix(UInt64(prompt.count))
            for token in prompt { hash.mix(UInt64(UInt32(bitPattern: token))) }
        }
        return hash.text
    }

    private static func fill(
        _ writer: RowFileWriter, prompts: [[Int32]], starts: [Int], encoder: Encoder,
        folder: String, threads: Int, progress: (Int, Int) throws -> Void
    ) throws {
        let total = starts[starts.count - 1]
        // A killed run may have ended within a prompt.
        var next = (starts.firstIndex { $0 > writer.rows } ?? starts.count) - 1
        try writer.keep(starts[next])
        try checkRoom(
            bytes(tokens: total - writer.rows, width: encoder.width), folder: folder)
        while next < prompts.count {
            let passes = (0..<threads).map { _ in
                pass(from: &next, prompts: prompts)
            }
            let states = Mutex([[PromptStates]](repeating: [], count: threads))
            DispatchQueue.concurrentPerform(iterations: threads) { index in
                guard !passes[index].isEmpty else { return }
                let encoded = encoder.encode(
                    passes[index].map { (tokens: prompts[$0], projector: .identity) },
                    workspace: Workspace())
                states.withLock { $0[index] = encoded }
            }
            for prompt in states.withLock({ $0 }).joined() {
                try prompt.withFloats { try writer.append(.init($0)) }
            }
            try progress(writer.rows, total)
        }
    }

    private static func pass(from next: inout Int, prompts: [[Int32]]) -> Range<Int> {
        let first = next
        var tokens = 0
        while next < prompts.count,
            next == first || tokens + prompts[next].count <= passTokens
        {
            tokens += prompts[next].count
            next += 1
        }
        return first..<next
    }

    /// Refuses a disk that is too small before hours of work, not after.
    private static func checkRoom(_ needed: Int, folder: String) throws {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder)
        guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue else { return }
        guard needed <= free else { throw NoRoom(folder: folder, needed: needed, free: free) }
    }
}

/// A disk that cannot hold the states.
package struct NoRoom: Error, Equatable, CustomStringConvertible {
    package let folder: String
    /// Bytes.
    package let needed: Int
    package let free: Int

    package var description: String {
        "\(folder): expected \(needed / 1_000_000) MB free for the LLM's states, "
            + "found \(free / 1_000_000) MB; free some, name another folder in data.cache, "
            + "or train on fewer pairs"
    }
}
