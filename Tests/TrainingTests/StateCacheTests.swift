import Checkpoints
import Foundation
import Inference
import TestSupport
import Testing

@testable import Training

@Suite struct StateCacheTests {
    private let folder: TinyModels
    private let encoder: Encoder
    private let prompts: [[Int32]]

    init() throws {
        folder = try TinyModels("t5-v1.1")
        encoder = try Encoder(folder.llm())
        var random = SplitMix64(seed: 3)
        prompts = (0..<300).map { _ in
            (0..<Int.random(in: 1...60, using: &random)).map { _ in
                Int32.random(in: 3...500, using: &random)
            }
        }
    }

    private func open(
        _ prompts: [[Int32]], fingerprint: String = "a", threads: Int = 2,
        progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> StateCache {
        try StateCache(
            prompts, llm: encoder, fingerprint: fingerprint, folder: folder.path + "/cache",
            threads: threads, progress: progress)
    }

    private func states(_ cache: StateCache, _ prompt: Int) -> [Float] {
        let buffer = FloatBuffer(count: prompts[prompt].count * cache.width)
        cache.read(prompt, into: buffer, at: 0)
        return buffer.withFloats { Array($0) }
    }

    @Test func itHoldsWhatTheEncoderSaysInHalfTheBits() throws {
        let cache = try open(prompts)
        for prompt in [0, 17, 299] {
            let direct = encoder.encode(
                [(tokens: prompts[prompt], projector: .identity)], workspace: Workspace())[0]
                .withFloats { Array($0) }
            let kept = states(cache, prompt)
            #expect(kept.count == direct.count)
            for (one, other) in zip(kept, direct) {
                #expect(abs(one - other) <= abs(other) * 0x1p-8)
            }
        }
    }

    /// A run ends after some passes. The next run continues there, and the file is the same.
    @Test func anInterruptedRunIsTakenUp() throws {
        struct Stop: Error {}
        let whole = try open(prompts, threads: 1)
        let wholeBytes = try Data(contentsOf: URL(filePath: whole.path))
        try FileManager.default.removeItem(atPath: whole.path)
        var first = 0
        #expect(throws: Stop.self) {
            try open(prompts, threads: 1) { done, _ in
                first = done
                throw Stop()
            }
        }
        #expect(first > 0)
        // A killed run may end within a row.
        let unfinished = whole.path + ".unfinished"
        let handle = try #require(FileHandle(forWritingAtPath: unfinished))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data([1, 2, 3]))
        try handle.close()
        var resumedAt = Int.max
        let resumed = try open(prompts, threads: 1) { done, _ in resumedAt = min(resumedAt, done) }
        #expect(resumedAt > first)
        #expect(try Data(contentsOf: URL(filePath: resumed.path)) == wholeBytes)
        #expect(!FileManager.default.fileExists(atPath: unfinished))
    }

    @Test func theSamePromptsAreReadOnce() throws {
        _ = try open(prompts)
        var passes = 0
        _ = try open(prompts) { _, _ in passes += 1 }
        #expect(passes == 0)
    }

    @Test func otherPromptsOrAnotherLLMHaveOtherFiles() throws {
        let paths = try [
            open(prompts).path, open(prompts, fingerprint: "b").path,
            open(Array(prompts.dropLast())).path,
        ]
        #expect(Set(paths).count == 3)
    }

    @Test func aDamagedFileIsRefused() throws {
        let cache = try open(prompts)
        let bytes = try Data(contentsOf: URL(filePath: cache.path))
        try bytes.dropLast(2 * cache.width).write(to: URL(filePath: cache.path))
        #expect {
            try open(prompts)
        } throws: { error in
            "\(error)".contains("remove it")
        }
    }

    @Test func twoRunsDoNotWriteOneFile() throws {
        #expect {
            try open(prompts, threads: 1) { _, _ in _ = try open(prompts) }
        } throws: { error in
            "\(error)".contains("another process")
        }
    }
}
