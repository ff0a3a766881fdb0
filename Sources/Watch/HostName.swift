internal import Foundation
internal import Hummingbird

/// The name that a browser asked for.
///
/// A page of somebody else can have its own name lead to this machine (DNS rebinding) and then read
/// what is served here. Such a name is one of the public DNS: addresses, names without a dot, those that
/// never leave a local network and the machine's own name are let through.
enum HostName {
    /// - Parameter authority: the header `Host`; nil where there is none, which no browser leaves out.
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
