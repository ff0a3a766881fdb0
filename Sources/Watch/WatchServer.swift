internal import HTTPTypes
internal import Hummingbird
package import Logging
internal import NIOCore
internal import ServiceLifecycle
package import Telemetry

/// `/metrics` for Prometheus, `/healthz` and `/readyz` for a supervisor, and a page for people.
package final class WatchServer: Service {
    package struct Answers: Sendable {
        /// What `/metrics` answers.
        var metrics: @Sendable () -> [MetricFamily]
        /// Whether the worker takes work.
        var isReady: @Sendable () -> Bool

        package init(
            metrics: @escaping @Sendable () -> [MetricFamily],
            isReady: @escaping @Sendable () -> Bool
        ) {
            self.metrics = metrics
            self.isReady = isReady
        }
    }

    /// One for each open page, and some for single requests.
    private static let maximumConnections = LiveFeed.maximumPages + 50
    private static let idleTimeout = TimeAmount.seconds(10)

    private let host: String
    private let port: Int
    /// Whether `run` fails if it cannot listen at the address. Otherwise the worker goes on without a
    /// page.
    private let isRequired: Bool
    private let answers: Answers
    private let feed: LiveFeed
    private let logger: Logger

    package init(
        host: String, port: Int, isRequired: Bool, answers: Answers, feed: LiveFeed,
        logger: Logger
    ) {
        self.host = host
        self.port = port
        self.isRequired = isRequired
        self.answers = answers
        self.feed = feed
        self.logger = logger
    }

    private var address: String { Self.address(host, port) }

    /// An IPv6 address stands in brackets.
    private static func address(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// - Throws: `WatchFailure`.
    package func run() async throws {
        let logger = logger
        var quiet = Logger(label: "http")
        quiet.logLevel = .critical
        let application = Application(
            router: router(),
            // Clients must not use up the worker's file descriptors. So connections are few, and one
            // that sends no request, or never ends it, is closed.
            server: .http1(configuration: .init(idleTimeout: Self.idleTimeout)),
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port),
                availableConnectionsDelegate: .maximum(Self.maximumConnections, logger: quiet)),
            onServerRunning: { channel in
                let served = channel.localAddress.flatMap { address in
                    address.port.map { Self.address(address.ipAddress ?? "", $0) }
                }
                logger.emit(.dashboardServed(address: served ?? ""))
            }, logger: quiet)
        do {
            try await application.run()
        } catch {
            let failure = WatchFailure(address: address, reason: "\(error)")
            guard !isRequired else { throw failure }
            logger.emit(.dashboardUnavailable(address: address, reason: failure.description))
            try await gracefulShutdown()
        }
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        let (answers, feed) = (answers, feed)
        router.get("metrics") { request, _ -> Response in
            let accepted = request.headers[values: .accept].joined()
            let form: Exposition =
                accepted.contains("application/openmetrics-text") ? .openMetrics : .plain
            return .text(form.page(answers.metrics()), type: form.contentType)
        }
        router.get("healthz") { _, _ in Response.text("ok\n") }
        router.get("readyz") { _, _ in
            answers.isReady()
                ? Response.text("ready\n")
                : Response.text("not ready\n", status: .serviceUnavailable)
        }
        router.get("/") { request, _ in
            guard HostName.isOurs(request.head.authority) else { return HostName.refusal }
            return Self.page(first: await feed.latest())
        }
        router.get("events") { request, _ in
            guard HostName.isOurs(request.head.authority) else { return HostName.refusal }
            guard let events = await feed.subscribe() else {
                return Response.text(
                    "\(LiveFeed.maximumPages) pages are open already\n",
                    status: .serviceUnavailable)
            }
            return Self.stream(events)
        }
        return router
    }

    /// - Parameter first: what it shows before the first event, as JSON.
    private static func page(first: String) -> Response {
        let parts = String(decoding: PackageResources.page_html, as: UTF8.self)
            .split(separator: ">null<", maxSplits: 1)
        // JSON's escape for `<`, so that no text can end the element that it stands in.
        let data = first.split(separator: "<", omittingEmptySubsequences: false)
            .joined(separator: "\\u003c")
        var response = Response.text(
            parts.joined(separator: ">\(data)<"), type: "text/html; charset=utf-8")
        // The browser loads nothing from elsewhere, whatever gets into the page.
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
            + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return response
    }

    private static func stream(_ events: AsyncStream<ByteBuffer>) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
                // A worker that stops does not wait for open pages.
                for await event in events.cancelOnGracefulShutdown() {
                    try await writer.write(event)
                }
                try await writer.finish(nil)
            })
    }
}

extension Response {
    static func text(
        _ text: String, status: HTTPResponse.Status = .ok,
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status,
            headers: [
                .contentType: type, .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

/// The server cannot listen at its address.
package struct WatchFailure: Error, CustomStringConvertible {
    package let address: String
    package let reason: String

    package var description: String {
        "cannot serve metrics at \(address): \(reason); "
            + "name another address with --http-address, or off"
    }
}
