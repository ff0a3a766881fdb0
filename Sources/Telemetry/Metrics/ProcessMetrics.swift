internal import Foundation

/// Processor time and memory of this process, by the names that all Prometheus clients use.
package enum ProcessMetrics {
    package static var families: [MetricFamily] {
        guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return [] }
        // Fields 3 and on of proc(5). They follow the name, which may hold spaces.
        let fields = stat[end...].split(separator: " ").dropFirst().map { Double($0) ?? 0 }
        guard fields.count > 21 else { return [] }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let page = Double(sysconf(Int32(_SC_PAGESIZE)))
        return [
            MetricFamily(
                .counter, "process_cpu_seconds", "Processor time of all threads.",
                (fields[11] + fields[12]) / ticks),
            MetricFamily(
                .gauge, "process_resident_memory_bytes", "Memory held.", fields[21] * page),
            MetricFamily(
                .gauge, "process_start_time_seconds", "Start, in seconds since 1970.",
                startOfMachine + fields[19] / ticks),
        ]
    }

    private static let startOfMachine: Double = {
        let text = (try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Double($0.dropFirst(6)) } ?? 0
    }()
}
