import Foundation
import Testing

@testable import Settings

@Suite struct WorkerSettingsTests {
    private let environment = [
        "L2S_DATABASE_URL": "postgresql:///l2s", "L2S_JOBS": "/tmp", "L2S_MODELS": "/tmp",
    ]

    private func settings(
        flags: [SettingName: String?] = [:], environment: [String: String] = [:], cores: Int = 8
    ) throws(Refusals) -> WorkerSettings {
        let environment = self.environment.merging(environment) { $1 }
        return try WorkerSettings(
            RawSettings(flags: flags, environment: environment), cores: cores, program: "")
    }

    @Test func defaults() throws {
        let settings = try settings()
        #expect(settings.databaseURL.connectionString == "postgresql:///l2s")
        #expect(settings.threads == 8)
        #expect(settings.decoders == 8)
        #expect(settings.decoderRows == 32)
        #expect(settings.handoffCapacity == 256)
        #expect(settings.promptCacheBytes == 64_000_000)
        #expect(settings.pollInterval == .milliseconds(250))
        #expect(settings.leaseDuration == .seconds(30))
        #expect(settings.drainTimeout == .seconds(30))
        #expect(settings.logLevel == .info)
        #expect(settings.logFormat == .text)
        #expect(try self.settings(cores: 1).decoders == 1)
    }

    @Test func aFlagGoesBeforeAVariableAndAnEmptyVariableIsNone() throws {
        let settings = try settings(
            flags: [.threads: "3", .logFormat: nil, .lease: "1m"],
            environment: [
                "L2S_THREADS": "5", "L2S_LOG_FORMAT": "json", "L2S_DECODERS": "",
                "L2S_PROMPT_CACHE": "2GB",
            ])
        #expect(settings.threads == 3)
        #expect(settings.decoders == 3)
        #expect(settings.logFormat == .json)
        #expect(settings.leaseDuration == .seconds(60))
        #expect(settings.promptCacheBytes == 2_000_000_000)
        #expect(try self.settings(flags: [.promptCache: "0"]).promptCacheBytes == 0)
    }

    @Test(arguments: [
        ("0.0.0.0:80", HTTPAddress(host: "0.0.0.0", port: 80)),
        ("[::1]:9464", HTTPAddress(host: "::1", port: 9464)), ("off", nil),
    ])
    func anAddressForHTTP(text: String, address: HTTPAddress?) throws {
        let settings = try settings(flags: [.httpAddress: text])
        #expect(settings.httpAddress == address)
        #expect(settings.isHTTPAddressGiven)
        #expect(try self.settings().httpAddress?.description == "127.0.0.1:9464")
        #expect(try !self.settings().isHTTPAddressGiven)
    }

    @Test(arguments: ["9464", ":9464", "host:", "host:65536", "::1:80", "host:-1"])
    func noAddressForHTTP(text: String) {
        #expect(throws: Refusals.self) { try settings(flags: [.httpAddress: text]) }
    }

    @Test func everyRefusalNamesWhereTheValueCameFrom() throws {
        let refusals = try #require(throws: Refusals.self) {
            try settings(
                flags: [.threads: "0", .jobs: "/nowhere/jobs"],
                environment: [
                    "L2S_LOG_LEVEL": "loud", "L2S_POLL_INTERVAL": "5",
                    "L2S_DATABASE_URL": "mysql://me:hunter2@host/db",
                ])
        }
        #expect(
            refusals.all.map(\.description) == [
                "expected --threads to be a whole number from 1 to 1024, got \"0\"",
                "expected L2S_POLL_INTERVAL to be a time from 10ms to 1h, "
                    + "such as 500ms, 30s or 5m, got \"5\"",
                "expected L2S_LOG_LEVEL to be trace, debug, info, notice, warning, error or "
                    + "critical, got \"loud\"",
                "expected L2S_DATABASE_URL to be a PostgreSQL address such as "
                    + "postgresql://user@host/database or host=… dbname=…, "
                    + "got \"mysql://me:***@host/db\"",
                "expected --jobs to be a folder that exists, got \"/nowhere/jobs\"",
            ])
    }

    @Test func theDatabaseMustBeGiven() throws {
        let refusals = try #require(throws: Refusals.self) {
            try settings(environment: ["L2S_DATABASE_URL": ""])
        }
        #expect(
            refusals.description.hasPrefix("expected --database-url or L2S_DATABASE_URL to be"))
        #expect(refusals.description.hasSuffix("got nothing"))
    }

    @Test func everySettingHasHelp() {
        #expect(SettingName.databaseURL.variable == "L2S_DATABASE_URL")
        for name in SettingName.allCases where name != .databaseURL {
            #expect(name.help.contains("Default: "), "\(name)")
        }
    }

    @Test(arguments: [
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgres://me@host/db", "postgres://me@host/db"),
        (
            "postgresql:///l2s?host=/run/pg&password=s3cret",
            "postgresql:///l2s?host=/run/pg&password=***"
        ),
        ("postgresql://me:s3cret/with?odd#signs@x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://h/db?pass%77ord=s3cret", "postgresql://h/db?pass%77ord=***"),
        ("host=/run/pg password = 's3cret \\' x' user=me", "host=/run/pg password=*** user=me"),
        ("password=s3cret", "password=***"),
    ])
    func noPasswordIsShown(text: String, shown: String) throws {
        let url = try #require(DatabaseURL(text))
        #expect(url.connectionString == text)
        #expect("\(url)" == shown)
        var dumped = ""
        dump(url, to: &dumped)
        #expect(!dumped.contains("s3cret"))
        #expect(!String(reflecting: url).contains("s3cret"))
    }

    @Test func whatIsNoAddressIsRefusedUnseen() {
        let texts = ["", "s3cret", "me:s3cret@h", "password='s3cret", "http:s3cret", "a=b\0s3cret"]
        for text in texts {
            #expect(DatabaseURL(text) == nil)
            #expect(!DatabaseURL.redacted(text).contains("s3cret"))
        }
    }
}
