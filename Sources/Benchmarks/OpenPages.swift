internal import Foundation
internal import Glibc
internal import Synchronization

/// Pages that stay open, as a browser keeps them. They are connections that read a worker's events
/// and do nothing with them, all on one thread.
package final class OpenPages: Sendable {
    private let counts: Mutex<(isOver: Bool, bytes: Int, served: [Bool])>
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter port: the worker's port on 127.0.0.1.
    /// - Throws: `OpenPagesError` when one of them is not served.
    package init(_ count: Int, port: UInt16) throws {
        var sockets: [Int32] = []
        do {
            for _ in 0..<count { sockets.append(try Self.open(port)) }
        } catch {
            for socket in sockets { Glibc.close(socket) }
            throw error
        }
        let all = sockets
        counts = Mutex((isOver: false, bytes: 0, served: all.map { _ in false }))
        Thread.detachNewThread { [self] in
            read(all)
            for socket in all { Glibc.close(socket) }
            ended.signal()
        }
    }

    /// Waits until each page has received something.
    ///
    /// - Throws: `OpenPagesError` after ten seconds.
    package func waitUntilServed() async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while counts.withLock({ $0.served.contains(false) }) {
            guard ContinuousClock.now < deadline else {
                throw OpenPagesError(description: "expected all pages to be served within 10 s")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Closes the pages.
    ///
    /// - Returns: the bytes that all of them received.
    package func close() -> Int {
        counts.withLock { $0.isOver = true }
        ended.wait()
        return counts.withLock { $0.bytes }
    }

    private static func open(_ port: UInt16) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw OpenPagesError("open a socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let request = Array(
            "GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".utf8)
        guard isConnected, send(socket, request, request.count, 0) == request.count else {
            let error = OpenPagesError("connect to port \(port)")
            Glibc.close(socket)
            throw error
        }
        return socket
    }

    private func read(_ sockets: [Int32]) {
        var polls = sockets.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !counts.withLock({ $0.isOver }) {
            guard poll(&polls, nfds_t(polls.count), 100) > 0 else { continue }
            for index in polls.indices where polls[index].revents != 0 {
                let count = recv(polls[index].fd, &buffer, buffer.count, 0)
                // A connection that has ended is not polled again.
                if count <= 0 { polls[index].fd = -1 }
                counts.withLock {
                    $0.bytes += max(0, count)
                    if count > 0 { $0.served[index] = true }
                }
            }
        }
    }
}

package struct OpenPagesError: Error, CustomStringConvertible {
    package let description: String

    init(description: String) { self.description = description }

    /// The reason is the error of the last system call.
    init(_ attempt: String) {
        description = "cannot \(attempt): \(String(cString: strerror(errno)))"
    }
}
