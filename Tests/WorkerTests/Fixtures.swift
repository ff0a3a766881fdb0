import Jobs

extension JobType {
    static func fixture(_ name: String, encoder: String = "large") -> JobType {
        guard let prompt = PromptTemplate("{document}") else {
            preconditionFailure("the fixture's prompt has no placeholder")
        }
        return JobType(
            name: name, mode: .hybrid, llm: encoder, slm: "small", prompt: prompt,
            limits: Limits(
                documentBytes: 1000, sourceTokens: 512, newTokens: 64, minimumNewTokens: 0,
                overflow: .fail),
            batch: BatchLimits(documents: 64, paddedTokens: 8192, wait: .milliseconds(20)),
            retry: RetryPolicy(
                maximumAttempts: 3, backoff: .seconds(1), maximumBackoff: .seconds(60)),
            timeout: .seconds(60))
    }
}

extension Claim {
    static func fixture(_ lease: Int64, _ ids: [Int64], attempt: Int = 1) -> Claim {
        Claim(
            lease: LeaseID(lease), encoder: "large", lengthClass: .upTo128,
            documents: ids.map {
                SourceDocument(id: $0, jobType: "summarize", text: "text", attempt: attempt)
            })
    }
}

extension FinishedDocument {
    static func fixture(
        _ id: Int64, _ outcome: Outcome = .succeeded(output: "out", tokens: [1])
    ) -> FinishedDocument {
        var measurements = Measurements()
        measurements.tokensIn = 10
        measurements.tokensOut = 1
        measurements.stages.tokenize = .milliseconds(1)
        measurements.stages.batchWait = .milliseconds(2)
        measurements.stages.encode = .milliseconds(4)
        measurements.stages.handoff = .milliseconds(8)
        measurements.stages.decode = .milliseconds(16)
        return FinishedDocument(id: id, outcome: outcome, measurements: measurements)
    }
}
