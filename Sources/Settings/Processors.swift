import FoundationEssentials

/// How many threads of this process can compute at a time.
package struct Processors: Sendable, Equatable {
    /// The cores that it may run on.
    package let cores: Int
    /// The processor time that its control groups allow, in cores; nil where they set no limit.
    package let quota: Double?

    /// The default number of threads: one for each core, and no more than the quota keeps busy. With
    /// more threads, all would be stopped for the rest of each period once the quota is used up.
    package var usable: Int { max(1, min(cores, quota.map { Int($0) } ?? cores)) }

    package static let available = Processors(
        cores: ProcessInfo.processInfo.activeProcessorCount)

    /// - Parameter root: the folder that holds `proc` and `sys`.
    init(cores: Int, root: String = "") {
        self.cores = cores
        let groups = Self.text("\(root)/proc/self/cgroup") ?? ""
        quota = groups.split(separator: "\n").flatMap { line in
            Self.quotas(
                line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false), root)
        }.min()
    }

    /// The limits of one line of /proc/self/cgroup, `number:controllers:path`, and of the groups
    /// above (cgroups(7) and the kernel's documentation of cpu.max and cpu.cfs_quota_us).
    private static func quotas(_ fields: [Substring], _ root: String) -> [Double] {
        guard fields.count == 3 else { return [] }
        let controllers = fields[1].split(separator: ",")
        guard fields[1].isEmpty || controllers.contains("cpu") else { return [] }
        let mount = "\(root)/sys/fs/cgroup" + (fields[1].isEmpty ? "" : "/\(fields[1])")
        var path = fields[2]
        var found: [Double] = []
        while true {
            let folder = mount + (path == "/" ? "" : path)
            if let limit = fields[1].isEmpty ? second(folder) : first(folder) {
                found.append(limit)
            }
            // A container may see a path of its host that does not exist here. Then the folders above
            // count, up to the mount.
            guard let slash = path.lastIndex(of: "/"), path != "/" else { return found }
            path = slash == path.startIndex ? "/" : path[..<slash]
        }
    }

    /// Version 2: `cpu.max` holds a quota, or `max`, and a period.
    private static func second(_ folder: String) -> Double? {
        let words = text("\(folder)/cpu.max")?.split { $0 == " " || $0 == "\n" } ?? []
        guard words.count == 2 else { return nil }
        return share(quota: words[0], period: words[1])
    }

    /// Version 1: quota and period have a file each; a quota of -1 means no limit.
    private static func first(_ folder: String) -> Double? {
        guard let quota = text("\(folder)/cpu.cfs_quota_us"),
            let period = text("\(folder)/cpu.cfs_period_us")
        else { return nil }
        return share(
            quota: quota.prefix { $0 != "\n" }, period: period.prefix { $0 != "\n" })
    }

    private static func share(quota: Substring, period: Substring) -> Double? {
        guard let quota = Double(quota), let period = Double(period), quota > 0, period > 0
        else { return nil }
        return quota / period
    }

    private static func text(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}
