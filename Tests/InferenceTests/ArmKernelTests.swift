import Foundation
import TestSupport
import Testing

@testable import Inference

/// The kernels for Arm, cross-compiled and run by an emulator.
@Suite struct ArmKernelTests {
    private static let tools = ["clang", "aarch64-linux-gnu-gcc", "qemu-aarch64"]
    private static let areInstalled = tools.allSatisfy { BuiltProgram(installed: $0) != nil }

    @Test(
        .enabled(
            if: areInstalled,
            "needs \(tools.joined(separator: ", ")): .ci/install-packages --tools"))
    func levelsAgreeWithTheirTwins() async throws {
        let clang = try #require(BuiltProgram(installed: "clang"))
        let emulator = try #require(BuiltProgram(installed: "qemu-aarch64"))
        let folder = try ScratchFolder()
        let program = folder.path + "/compare_levels"
        let sources = Fixtures.folder + "/../../Sources/CKernels"
        let files = try FileManager.default.contentsOfDirectory(atPath: sources)
            .filter { $0.hasSuffix(".c") }.map { sources + "/" + $0 }
        let built = try await clang.run(
            [
                "--target=aarch64-linux-gnu", "-std=c17", "-O2", "-fno-math-errno", "-Wno-psabi",
                "-fuse-ld=lld", "-static", "-I\(sources)/include", "-o", program,
            ] + files + [Fixtures.path("kernels/compare_levels.c"), "-lm"])
        #expect(built.status == 0, "\(built.remarks)")
        let seed = SeededRandom.newSeed()
        for level in [KernelLevel.portable, .neonDotprod] {
            let run = try await emulator.run([program, "\(level.number)", "\(seed)"])
            #expect(run.status == 0 && run.output == "ok\n", "seed \(seed): \(run.output)")
        }
        // A machine without the instructions is told apart from one that has them.
        let older = try await emulator.run(
            ["-cpu", "cortex-a72", program, "\(KernelLevel.neonDotprod.number)", "\(seed)"])
        #expect(older.output == "level 4 does not run here\n")
    }
}
