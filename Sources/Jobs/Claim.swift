/// What a worker asks for.
package struct ClaimRequest: Sendable {
    package var worker: WorkerID
    /// The model that reads, see `JobType.encoder`.
    package var encoder: String
    /// The job types of that encoder that the worker knows.
    package var jobTypes: [String]
    package var maximumDocuments: Int
    /// Estimated as bytes / 4. A single document may exceed it.
    package var maximumTokens: Int
    /// The documents are taken back unless the lease is renewed within this time.
    package var leaseDuration: Duration

    package init(
        worker: WorkerID, encoder: String, jobTypes: [String], maximumDocuments: Int,
        maximumTokens: Int, leaseDuration: Duration
    ) {
        self.worker = worker
        self.encoder = encoder
        self.jobTypes = jobTypes
        self.maximumDocuments = maximumDocuments
        self.maximumTokens = maximumTokens
        self.leaseDuration = leaseDuration
    }
}

/// A batch of documents that belongs to the worker until its lease ends.
package struct Claim: Sendable, Equatable {
    package let lease: LeaseID
    package let encoder: String
    package let lengthClass: LengthClass
    /// In order of priority and age; never empty.
    package let documents: [ClaimedDocument]

    package init(
        lease: LeaseID, encoder: String, lengthClass: LengthClass, documents: [ClaimedDocument]
    ) {
        self.lease = lease
        self.encoder = encoder
        self.lengthClass = lengthClass
        self.documents = documents
    }
}

package struct ClaimedDocument: Sendable, Equatable {
    package let id: Int64
    package let jobType: String
    package let text: String
    /// 1 for the first; releases are not counted.
    package let attempt: Int
    /// The trace that it belongs to, as its enqueuer wrote it: unread.
    package let traceparent: String?

    package init(
        id: Int64, jobType: String, text: String, attempt: Int, traceparent: String? = nil
    ) {
        self.id = id
        self.jobType = jobType
        self.text = text
        self.attempt = attempt
        self.traceparent = traceparent
    }

    package var source: SourceDocument {
        SourceDocument(id: id, jobType: jobType, text: text, traceparent: traceparent)
    }
}
