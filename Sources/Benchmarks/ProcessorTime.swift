internal import Foundation
internal import Glibc

/// The processor time of a process of this machine, user and system together.
package enum ProcessorTime {
    /// - Throws: `ProcessorTimeError` when there is no such process, or it has ended.
    package static func of(_ process: Int32) throws -> Duration {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else {
            throw ProcessorTimeError(process: process)
        }
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// The processor time of the threads whose names begin with `prefix`. Between two calls whose
    /// difference counts, new threads may start, but none may end.
    package static func ofThreads(named prefix: String, of process: Int32) throws -> Duration {
        let folder = "/proc/\(process)/task"
        guard let threads = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw ProcessorTimeError(process: process)
        }
        return threads.reduce(.zero) { sum, thread in
            guard text("\(folder)/\(thread)/comm").hasPrefix(prefix) else { return sum }
            // The first number is the nanoseconds on a processor.
            let numbers = text("\(folder)/\(thread)/schedstat").split(separator: " ")
            return sum + .nanoseconds(numbers.first.flatMap { Int64($0) } ?? 0)
        }
    }

    private static func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }
}

package struct ProcessorTimeError: Error, CustomStringConvertible {
    let process: Int32

    package var description: String { "expected process \(process) to run, found none" }
}
