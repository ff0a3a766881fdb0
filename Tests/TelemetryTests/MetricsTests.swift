import Jobs
import Testing

@testable import Telemetry

@Suite struct MetricsTests {
    @Test func aPageInBothForms() {
        let families = [
            MetricFamily(.counter, "l2s_documents", "Done.", [([("job_type", "a\"\\\n")], 3)]),
            MetricFamily(.gauge, "process_resident_memory_bytes", "Held.", 1),
        ]
        #expect(
            Exposition.openMetrics.page(families) == """
                # TYPE l2s_documents counter
                # HELP l2s_documents Done.
                l2s_documents_total{job_type="a\\"\\\\\\n"} 3.0
                # TYPE process_resident_memory_bytes gauge
                # UNIT process_resident_memory_bytes bytes
                # HELP process_resident_memory_bytes Held.
                process_resident_memory_bytes 1.0
                # EOF

                """)
        let plain = Exposition.plain.page(families)
        #expect(plain.hasPrefix("# TYPE l2s_documents_total counter\n"))
        #expect(!plain.contains("EOF"))
        #expect(!plain.contains("UNIT"))
    }

    /// Signs that have to be escaped as parts of larger characters: CR LF, a mark over a quotation mark.
    @Test func noLabelEndsBeforeItsEnd() {
        let family = MetricFamily(.gauge, "x", "X.", [([("a", "1\r\n2\"\u{301}3")], 1)])
        let page = Exposition.plain.page([family])
        #expect(page.unicodeScalars.filter { $0 == "\n" }.count == 3)
        #expect(page.contains("a=\"1\r\\n2\\\"\u{301}3\""))
    }

    @Test func aHistogramCountsWhatLiesBelowEachBound() {
        var histogram = Histogram()
        for milliseconds in [1, 2, 400_000] { histogram.observe(.milliseconds(milliseconds)) }
        let samples = histogram.samples(labels: [])
        func value(_ bound: String) -> Double? {
            samples.first { $0.labels.contains { $0 == ("le", bound) } }?.value
        }
        #expect(value("0.0005") == 0)
        #expect(value("0.001") == 1)
        #expect(value("0.0025") == 2)
        #expect(value("300.0") == 2)
        #expect(value("+Inf") == 3)
        #expect(samples.first { $0.suffix == "_count" }?.value == 3)
        #expect(samples.first { $0.suffix == "_sum" }?.value == 400.003)
    }

    @Test func countsDocumentsByTypeAndOutcome() {
        let metrics = WorkerMetrics(version: "1", jobTypes: ["summarize"])
        var measurements = Measurements()
        measurements.tokensIn = 10
        measurements.stages.encode = .milliseconds(3)
        measurements.agreement = 0.75
        let record = DocumentRecord.fixture("summarize", willRetry: true, measurements)
        // A job type that the worker does not know makes no label.
        let stray = DocumentRecord.fixture("from outside", willRetry: false)
        metrics.recorded([record, record, stray], completion: .milliseconds(5))
        let page = Exposition.plain.page(metrics.families)
        #expect(
            page.contains(#"l2s_documents_total{job_type="summarize",outcome="retried"} 2.0"#))
        #expect(page.contains(#"l2s_tokens_total{job_type="summarize",direction="in"} 20.0"#))
        #expect(
            page.contains(
                #"l2s_stage_duration_seconds_count{job_type="summarize",stage="encode"} 2.0"#))
        // No document came to that stage.
        #expect(
            page.contains(
                #"l2s_stage_duration_seconds_count{job_type="summarize",stage="decode"} 0.0"#))
        #expect(page.contains(#"l2s_shadowed_documents_total{job_type="summarize"} 2.0"#))
        #expect(page.contains(#"l2s_shadow_agreement_total{job_type="summarize"} 1.5"#))
        #expect(page.contains("l2s_complete_duration_seconds_count 1.0"))
        #expect(!page.contains("from outside"))
    }

    @Test func isReadyWhileItTakesWork() {
        let metrics = WorkerMetrics(version: "1", jobTypes: [])
        let steps: [(WorkerEvent, Bool)] = [
            // The store is away while the worker tries to register.
            (.storeUnavailable(doing: "", reason: ""), false),
            (.workerStarted(worker: 1, jobTypes: [], threads: 1, decoders: 1), true),
            (.storeUnavailable(doing: "", reason: ""), false),
            (.reconnected(outage: .zero), true),
            (.draining(running: 0, timeout: .zero), false),
        ]
        for (event, isReady) in steps {
            metrics.observe(event)
            #expect(metrics.isReady == isReady, "\(event)")
        }
        let page = Exposition.plain.page(metrics.families)
        #expect(page.contains("l2s_store_outages_total 2.0\n"))
        #expect(page.contains("l2s_store_up 1.0\n"))
    }

    @Test func tellsOfTheProcess() throws {
        let families = ProcessMetrics.families
        let memory = try #require(
            families.first { $0.name == "process_resident_memory_bytes" }?.samples.first)
        #expect(memory.value > 1_000_000)
        let start = try #require(
            families.first { $0.name == "process_start_time_seconds" }?.samples.first)
        #expect(start.value > 1_600_000_000)
    }
}
