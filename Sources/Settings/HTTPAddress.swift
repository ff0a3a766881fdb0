/// Where a worker serves HTTP.
package struct HTTPAddress: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address, IPv6 without its brackets.
    package var host: String
    /// 0 lets the system choose one.
    package var port: Int

    /// The loopback address, because the page asks nobody for a password. The port is the one that
    /// Prometheus exporters of applications use.
    package static let standard = HTTPAddress(host: "127.0.0.1", port: 9464)

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension Quantity<HTTPAddress?> {
    static let httpAddress = Quantity(
        expected: "off, or a host and a port, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464"
    ) { text in
        if text == "off" { return .some(nil) }
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : .some(HTTPAddress(host: String(host), port: port))
    }
}
