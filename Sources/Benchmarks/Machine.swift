internal import Foundation
internal import Inference

/// The machine that figures were measured on, which every report names first.
package struct Machine: Sendable, Codable {
    package let processor: String
    package let cores: Int
    /// The instruction set that the kernels use.
    package let kernels: String
    /// The load average of the minute before the benchmark. Other work makes figures worthless.
    package let load: Double

    /// This machine, now.
    package init() {
        let information = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        processor =
            information.split(separator: "\n").first { $0.hasPrefix("model name") }
            .flatMap { $0.split(separator: ":").last }
            .map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        cores = ProcessInfo.processInfo.activeProcessorCount
        kernels = KernelLevel.chosen.rawValue
        let average = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? ""
        load = average.split(separator: " ").first.flatMap { Double($0) } ?? 0
    }

    package var line: String {
        "\(processor), \(cores) cores, kernels \(kernels), load \(load)"
    }

    /// The most memory that this process had, in MiB.
    package static var peakMemory: Double {
        peakMemory(of: ProcessInfo.processInfo.processIdentifier)
    }

    /// The most memory that another process of this machine had, in MiB.
    package static func peakMemory(of process: Int32) -> Double {
        let status =
            (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? ""
        let kilobytes = line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Double($0) }
        return (kilobytes ?? 0) / 1_024
    }
}
