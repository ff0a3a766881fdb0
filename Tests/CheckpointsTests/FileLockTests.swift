import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct FileLockTests {
    @Test func whoComesSecondIsToldWhoHoldsIt() throws {
        let scratch = try ScratchFolder()
        let path = scratch.path + "/lock"
        let first = try FileLock(path: path, purpose: "test it")
        let refusal = #expect(throws: CheckpointError.self) {
            _ = try FileLock(path: path, purpose: "test it")
        }
        #expect(
            refusal?.description.contains(
                "expected no other process to test it, found process \(getpid()) at it") == true)
        withExtendedLifetime(first) {}
        _ = try FileLock(path: path + "2", purpose: "test it")
    }
}
