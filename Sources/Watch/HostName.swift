internal import Foundation
internal import Hummingbird

/// The name of this server in a browser's request.
///
/// A foreign page can make its own DNS name point to this machine (DNS rebinding), and then read what
/// is served here. It needs a name of the public DNS for that. So addresses, names without a dot, names
/// that never leave a local network, and the machine's own name are accepted, and no others.
enum HostName {
    /// - Parameter authority: the header `Host`. Nil if there is none; every browser sends one.
    static func isOurs(_ authority: String?) -> Bool {
        guard let authority, !authority.isEmpty else { return true }
        // An IPv6 address.
        if authority.hasPrefix("[") { return true }
        let name = authority.prefix { $0 != ":" }.lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count == 1 || name == ProcessInfo.processInfo.hostName.lowercased() {
            return true
        }
        if labels.count == 4, labels.allSatisfy({ UInt8($0) != nil }) { return true }
        return ["local", "localhost", "internal", "svc"].contains(
            labels.last.map(String.init) ?? "")
    }

    static var refusal: Response {
        .text(
            "This page is not served under that name: use the worker's address, or let a proxy send it "
                + "as Host.\n", status: .misdirectedRequest)
    }
}
