import Foundation
import Synchronization

/// A TCP port of 127.0.0.1 that leads to a database server through a network that can be cut.
package final class CuttableNetwork: Sendable {
    package enum State: Sendable {
        case open
        /// Nothing gets through, and neither side learns of it. What was sent arrives when the
        /// network is open again.
        case silent
        /// Every connection is reset, also each new one.
        case reset
    }

    /// A cut at the moment when a client sends certain words.
    package struct Trigger: Sendable {
        package let words: String
        /// Whether the words still reach the server. Their answer does not come back.
        package let isAfter: Bool
        package let state: State

        package init(words: String, isAfter: Bool, state: State) {
            self.words = words
            self.isAfter = isAfter
            self.state = state
        }
    }

    private struct Shared {
        var state = State.open
        var trigger: Trigger?
        var isOver = false
    }

    /// Child processes do not inherit the socket. A server that another test starts meanwhile would
    /// keep connections open.
    private static let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

    package let port: UInt16
    private let listener: Int32
    private let server: String
    /// The test and connections that meet a trigger write it; all connections read it.
    private let shared = Mutex(Shared())

    /// - Parameter server: the path of the server's Unix socket.
    package init(to server: String) throws {
        self.server = server
        let listener = socket(AF_INET, Self.kind, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        port = UInt16(bigEndian: address.sin_port)
        self.listener = listener
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0, let network = self else { return }
                _ = fcntl(client, F_SETFD, FD_CLOEXEC)
                Thread.detachNewThread { network.serve(client) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Ends all connections. The port stays in use as long as this object.
    package func end() { shared.withLock { $0.isOver = true } }

    package func change(to state: State) { shared.withLock { $0.state = state } }

    package func cut(_ trigger: Trigger) { shared.withLock { $0.trigger = trigger } }

    /// Whether the trigger has been met.
    package var isCut: Bool { shared.withLock { $0.trigger == nil && $0.state != .open } }

    private func serve(_ client: Int32) {
        var connection = Connection(client: client, server: connectToServer())
        while connection.server >= 0 {
            let (state, isOver) = shared.withLock { ($0.state, $0.isOver) }
            if state == .reset || isOver { break }
            guard connection.wait(listening: state == .open) else { break }
            guard state == .open else { continue }
            guard connection.forward(toServer: false, { _ in true }),
                connection.forward(toServer: true, { passes($0) })
            else { break }
        }
        connection.reset()
    }

    /// Whether these bytes of a client go on to the server.
    private func passes(_ bytes: [UInt8]) -> Bool {
        shared.withLock { shared in
            guard shared.state == .open else { return false }
            guard let trigger = shared.trigger, bytes.contains(trigger.words.utf8) else {
                return true
            }
            shared.trigger = nil
            shared.state = trigger.state
            return trigger.isAfter
        }
    }

    private func connectToServer() -> Int32 {
        let descriptor = socket(AF_UNIX, Self.kind, 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: server.utf8) }
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard isConnected else {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}

/// The connection of one client. One thread uses it.
private struct Connection {
    let client: Int32
    let server: Int32
    /// Bytes that were read from the client and are held back while the network is silent.
    private var held: [UInt8] = []
    private var isReadable: (client: Bool, server: Bool) = (false, false)

    init(client: Int32, server: Int32) {
        self.client = client
        self.server = server
    }

    /// Waits a moment for something to forward. Returns false if a descriptor is broken.
    mutating func wait(listening: Bool) -> Bool {
        let events = Int16(listening ? POLLIN : 0)
        var sources = [
            pollfd(fd: client, events: events, revents: 0),
            pollfd(fd: server, events: events, revents: 0),
        ]
        poll(&sources, 2, 5)
        isReadable = (sources[0].revents & events != 0, sources[1].revents & events != 0)
        return sources.allSatisfy { $0.revents & Int16(POLLERR | POLLNVAL) == 0 }
    }

    /// Forwards what has arrived in one direction, if `passes` lets it. Returns false if an end has
    /// closed.
    mutating func forward(toServer: Bool, _ passes: ([UInt8]) -> Bool) -> Bool {
        let (from, to) = toServer ? (client, server) : (server, client)
        var bytes = toServer ? held : []
        if toServer ? isReadable.client : isReadable.server {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(from, &buffer, buffer.count)
            guard count > 0 else { return false }
            bytes += buffer.prefix(count)
        }
        guard !bytes.isEmpty else { return true }
        guard passes(bytes) else {
            held = bytes
            return true
        }
        if toServer { held = [] }
        while !bytes.isEmpty {
            let count = send(to, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return false }
            bytes.removeFirst(count)
        }
        return true
    }

    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            client, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        // A program that was started between accept and fcntl has inherited the socket. This ends
        // the connection for it, too.
        shutdown(client, Int32(SHUT_RDWR))
        close(client)
        if server >= 0 { close(server) }
    }
}
