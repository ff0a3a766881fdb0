import Foundation
import TestSupport
import Testing

@testable import Settings

/// Limits of control groups, as Linux shows them below /proc and /sys.
@Suite struct ProcessorsTests {
    private func found(_ group: String, _ files: [String: String], cores: Int = 8) throws
        -> Processors
    {
        let root = try ScratchFolder()
        let named = files.map { ("sys/fs/cgroup/\($0)", $1) } + [("proc/self/cgroup", group)]
        for (name, text) in named {
            try FileManager.default.createDirectory(
                at: URL(filePath: "\(root.path)/\(name)").deletingLastPathComponent(),
                withIntermediateDirectories: true)
            try root.write(name, (text + "\n").utf8)
        }
        return Processors(cores: cores, root: root.path)
    }

    @Test func theTightestQuotaOnTheWayToTheRootCounts() throws {
        let found = try found(
            "0::/pod/container",
            [
                "pod/container/cpu.max": "400000 100000", "pod/cpu.max": "250000 100000",
                "cpu.max": "max 100000",
            ])
        #expect(found.quota == 2.5)
        #expect(found.usable == 2)
    }

    @Test func withoutAQuotaAllCoresCompute() throws {
        #expect(try found("0::/", ["cpu.max": "max 100000"]).usable == 8)
        #expect(try found("0::/a/b", [:]).usable == 8)
        #expect(try found("", [:]).quota == nil)
        #expect(Processors(cores: 3, root: "/nowhere").usable == 3)
    }

    @Test func aContainerThatSeesItsHostsPathIsLimitedByTheMount() throws {
        #expect(try found("0::/docker/0123", ["cpu.max": "100000 50000"]).usable == 2)
    }

    @Test func lessThanACoreIsOneThread() throws {
        #expect(try found("0::/", ["cpu.max": "20000 100000"]).usable == 1)
    }

    @Test func moreThanTheCoresIsTheCores() throws {
        #expect(try found("0::/", ["cpu.max": "1600000 100000"], cores: 4).usable == 4)
    }

    @Test func versionOneHasAFileForQuotaAndPeriod() throws {
        let groups = "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/job"
        let limited = try found(
            groups,
            [
                "cpu,cpuacct/job/cpu.cfs_quota_us": "300000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
            ])
        #expect(limited.usable == 3)
    }

    @Test(arguments: ["", "max", "1 2 3", "-5 100000", "0 100000", "x y", "100000 0"])
    func whatIsNoLimitIsNone(_ text: String) throws {
        #expect(try found("0::/", ["cpu.max": text]).quota == nil)
    }
}
