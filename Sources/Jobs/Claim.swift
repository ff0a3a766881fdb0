/// What a worker asks for when it claims.
package struct ClaimRequest: Sendable {
    package var worker: WorkerID
    /// The model that reads, see `JobType.encoder`.
    package var encoder: String
    /// The job types of that encoder that the worker knows.
    package var jobTypes: [String]
    package var maximumDocuments: Int
    /// The most tokens of the whole batch, estimated as bytes / 4. A single document may exceed it.
    package var maximumTokens: Int
    /// If the lease is not renewed within this time, the documents are taken back.
    package var leaseDuration: Duration
    /// Names of the metadata fields that are returned with the documents.
    package var fields: [String]

    package init(
        worker: WorkerID, encoder: String, jobTypes: [String], maximumDocuments: Int,
        maximumTokens: Int, leaseDuration: Duration, fields: [String] = []
    ) {
        self.worker = worker
        self.encoder = encoder
        self.jobTypes = jobTypes
        self.maximumDocuments = maximumDocuments
        self.maximumTokens = maximumTokens
        self.leaseDuration = leaseDuration
        self.fields = fields
    }
}

/// A batch of documents that belongs to the worker until its lease ends.
package struct Claim: Sendable, Equatable {
    package let lease: LeaseID
    package let encoder: String
    package let lengthClass: LengthClass
    /// In order of priority and age; never empty.
    package let documents: [SourceDocument]

    package init(
        lease: LeaseID, encoder: String, lengthClass: LengthClass, documents: [SourceDocument]
    ) {
        self.lease = lease
        self.encoder = encoder
        self.lengthClass = lengthClass
        self.documents = documents
    }
}
