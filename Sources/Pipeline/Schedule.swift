internal import Jobs

/// What the schedule must know about a part whose prompt waits to be read.
protocol PreparedWork {
    var prompt: Prompt { get }
    /// When its prompt was tokenized.
    var prepared: ContinuousClock.Instant { get }
    /// Rows that it will take in a decoder.
    var rows: Int { get }
    var batch: JobType.BatchLimits { get }
}

/// What the schedule must know about a part in the hand-off.
protocol EncodedWork {
    /// Index of the decoder that is to write it.
    var decoder: Int { get }
    /// Rows that it takes in the decoder.
    var rows: Int { get }
}

/// What the schedule must know about a document.
protocol SubmittedWork {
    var source: SourceDocument { get }
}

struct ScheduleBounds: Sendable {
    var replicasPerDecoder: Int
    var rowsPerReplica: Int
    var handoffCapacity: Int
}

/// What the pipeline holds, and the decision what a free lane does next. Pure: it is given the
/// time, knows no model and is called only under the engine's lock.
///
/// Lanes keep the decoders fed: they encode while the parts in the hand-off have fewer rows than
/// the decoders could take at once, and step decoders otherwise. Encoding stops while the hand-off
/// is full. So neither can starve the other, and memory is bounded.
struct Schedule<Document: SubmittedWork, Part: PreparedWork, EncodedPart: EncodedWork> {
    typealias Instant = ContinuousClock.Instant

    enum Work {
        case prepare([Document])
        case encode(encoder: Int, [Part])
        case decode(replica: Int, admitting: [EncodedPart])
        /// There is nothing to do until that time; nil: until something changes.
        case rest(until: Instant?)
    }

    private struct ReplicaState {
        let decoder: Int
        /// The most rows that the parts in it may take.
        var rows = 0
        /// Whether a lane uses it now.
        var isBusy = false
        /// The number of its last use. The least recently used replica goes first.
        var lastUse = 0
    }

    let bounds: ScheduleBounds
    private var inbox: [Document] = []
    /// Parts that wait for each encoder, in order of arrival.
    private var prepared: [[Part]]
    /// Parts that wait for each decoder, in order of arrival.
    private var handoff: [[EncodedPart]]
    private var replicas: [ReplicaState]
    /// The prompts that lanes are reading, each with the parts that came later and share it. No
    /// part in `prepared` has one of these prompts.
    private var readings: [Prompt: [Part]] = [:]
    /// Parts that lanes are encoding. Their places in the hand-off are reserved.
    private var encoding = 0
    /// Rows that the parts in `encoding` will take in decoders.
    private var encodingRows = 0
    private var uses = 0

    init(encoders: Int, decoders: Int, bounds: ScheduleBounds) {
        self.bounds = bounds
        prepared = Array(repeating: [], count: encoders)
        handoff = Array(repeating: [], count: decoders)
        replicas = (0..<decoders * bounds.replicasPerDecoder).map { index in
            ReplicaState(decoder: index / bounds.replicasPerDecoder)
        }
    }

    /// Documents that one lane prepares at a time: enough to amortise the lock, few enough that
    /// other lanes get some.
    private static var preparationChunk: Int { 8 }
    /// The most documents of one text that a lane prepares at a time.
    private static var siblings: Int { 64 }
    /// Tokenized parts that are kept ready, as a multiple of the rows of one decoder.
    private static var readyBatches: Int { 2 }

    private var decoderRows: Int { bounds.rowsPerReplica * bounds.replicasPerDecoder }
    private var waiting: Int { handoff.reduce(0) { $0 + $1.count } }
    private var waitingRows: Int { handoff.reduce(0) { $0 + $1.rows } }
    private var handoffRoom: Int { bounds.handoffCapacity - waiting - encoding }

    func describe(_ statistics: inout PipelineStatistics) {
        statistics.waiting = inbox.count
        statistics.prepared = prepared.reduce(0) { $0 + $1.count }
        statistics.handoff = waiting
        statistics.handoffCapacity = bounds.handoffCapacity
        statistics.decoding = replicas.reduce(0) { $0 + $1.rows }
    }

    // MARK: What happened

    mutating func submitted(_ documents: [Document]) { inbox += documents }

    /// A part whose prompt is being read waits for that reading. Every other part waits for the
    /// encoder.
    mutating func prepared(_ parts: [Part]) {
        for part in parts {
            if readings[part.prompt] == nil {
                prepared[part.prompt.encoder].append(part)
            } else {
                readings[part.prompt]?.append(part)
                encoding += 1
                encodingRows += part.rows
            }
        }
    }

    /// Returns the parts that came to share the reading. Pass each of them to `encoded` or `unread`
    /// next.
    mutating func readingEnded(_ prompt: Prompt) -> [Part] {
        readings.removeValue(forKey: prompt) ?? []
    }

    /// Parts that must be read after all, because the reading that they shared lacked one of their
    /// projectors.
    mutating func unread(_ parts: [Part]) {
        for part in parts.reversed() {
            encoding -= 1
            encodingRows -= part.rows
            prepared[part.prompt.encoder].insert(part, at: 0)
        }
    }

    mutating func encoded(_ parts: [EncodedPart]) {
        encoding -= parts.count
        encodingRows -= parts.rows
        handedOn(parts)
    }

    /// Adds parts to the hand-off. Parts for a second generator come without a reserved place: they
    /// may exceed the capacity, but only by the parts of documents that are in the pipeline.
    mutating func handedOn(_ parts: [EncodedPart]) {
        for part in parts { handoff[part.decoder].append(part) }
    }

    mutating func decoded(replica: Int, rows: Int) {
        replicas[replica].rows = rows
        replicas[replica].isBusy = false
    }

    /// Takes out those documents that no lane has taken up yet.
    mutating func withdraw(_ ids: Set<Int64>) -> [Document] {
        let taken = inbox.filter { ids.contains($0.source.id) }
        inbox.removeAll { ids.contains($0.source.id) }
        return taken
    }

    // MARK: What next

    mutating func next(now: Instant) -> Work {
        let ready = prepared.reduce(0) { $0 + $1.count }
        if !inbox.isEmpty, ready < Self.readyBatches * decoderRows {
            let chunk = Array(inbox.prefix(preparationCount))
            inbox.removeFirst(chunk.count)
            return .prepare(chunk)
        }
        if waitingRows + encodingRows < decoderRows, let work = encodeWork(now: now) { return work }
        if let work = decodeWork() { return work }
        return encodeWork(now: now) ?? .rest(until: nextDeadline)
    }

    /// A batch that is full or has waited long enough. Of several, the one with the oldest prompt.
    private mutating func encodeWork(now: Instant) -> Work? {
        let room = handoffRoom
        guard room > 0 else { return nil }
        var best: (encoder: Int, prompts: Set<Prompt>, age: Instant)?
        for encoder in prepared.indices {
            guard let oldest = prepared[encoder].first else { continue }
            let batch = batch(encoder: encoder, room: room)
            guard batch.isFull || now >= oldest.prepared + batch.wait else { continue }
            if best.map({ oldest.prepared < $0.age }) ?? true {
                best = (encoder, batch.prompts, oldest.prepared)
            }
        }
        guard let best else { return nil }
        let parts = prepared[best.encoder].filter { best.prompts.contains($0.prompt) }
        prepared[best.encoder].removeAll { best.prompts.contains($0.prompt) }
        for prompt in best.prompts { readings[prompt] = [] }
        encoding += parts.count
        encodingRows += parts.reduce(0) { $0 + $1.rows }
        return .encode(encoder: best.encoder, parts)
    }

    /// As many prompts from the front as each of their job types allows in a batch, and as there is
    /// room for. All parts with one of these prompts go with it, even beyond the room: they cost no
    /// further reading, and the states are in memory anyway.
    ///
    /// Padding counts towards the limit although none is computed, so that short documents need not
    /// wait for a long one. It costs little: the queue claims by length class, so documents of one
    /// claim are of similar length.
    private func batch(
        encoder: Int, room: Int
    ) -> (prompts: Set<Prompt>, isFull: Bool, wait: Duration) {
        var prompts: Set<Prompt> = []
        var longest = 0
        var tokens: Int { prompts.count * longest }
        var documents = Int.max
        var tokenLimit = Int.max
        var wait = Duration.seconds(3600)
        for (index, part) in prepared[encoder].enumerated() where !prompts.contains(part.prompt) {
            let limits = part.batch
            documents = min(documents, limits.documents)
            tokenLimit = min(tokenLimit, limits.paddedTokens)
            let height = max(longest, part.prompt.tokens.count)
            if !prompts.isEmpty,
                prompts.count >= documents || (prompts.count + 1) * height > tokenLimit
            {
                return (prompts, true, wait)
            }
            if index >= room { return (prompts, true, wait) }
            wait = min(wait, limits.wait)
            longest = height
            prompts.insert(part.prompt)
        }
        let isFull =
            prompts.count >= documents || tokens >= tokenLimit || prepared[encoder].count >= room
        return (prompts, isFull, wait)
    }

    /// How many documents a lane prepares together. Documents of one text stay together, so that
    /// their prompt is read once.
    private var preparationCount: Int {
        var count = min(Self.preparationChunk, inbox.count)
        while count < min(Self.siblings, inbox.count),
            inbox[count].source.text == inbox[count - 1].source.text
        {
            count += 1
        }
        return count
    }

    private var nextDeadline: Instant? {
        guard handoffRoom > 0 else { return nil }
        return prepared.compactMap { parts in
            parts.first.map { $0.prepared + $0.batch.wait }
        }.min()
    }

    /// A turn of the least recently used idle replica that has rows or can get some.
    private mutating func decodeWork() -> Work? {
        var best: Int?
        for (index, replica) in replicas.enumerated() {
            guard !replica.isBusy, replica.rows > 0 || share(of: index) > 0 else { continue }
            if best.map({ replica.lastUse < replicas[$0].lastUse }) ?? true { best = index }
        }
        guard let index = best else { return nil }
        let decoder = replicas[index].decoder
        let taken = Array(handoff[decoder].prefix(share(of: index)))
        handoff[decoder].removeFirst(taken.count)
        uses += 1
        replicas[index].lastUse = uses
        replicas[index].isBusy = true
        replicas[index].rows += taken.rows
        return .decode(replica: index, admitting: taken)
    }

    /// How many waiting parts a replica takes up now. It fills up to its even share of rows, so
    /// that lanes stay equally busy, and to at least four, which a step writes at the price of one.
    /// A part with more rows than a replica holds goes into an empty one.
    private func share(of index: Int) -> Int {
        let replica = replicas[index]
        let waiting = handoff[replica.decoder]
        guard !waiting.isEmpty else { return 0 }
        let held = replicas.reduce(0) { $0 + ($1.decoder == replica.decoder ? $1.rows : 0) }
        let decoders = bounds.replicasPerDecoder
        let evenShare = (waiting.rows + held + decoders - 1) / decoders
        let target = min(max(evenShare, 4), bounds.rowsPerReplica)
        var rows = replica.rows
        return waiting.prefix { part in
            guard rows == 0 || rows < target && rows + part.rows <= bounds.rowsPerReplica
            else { return false }
            rows += part.rows
            return true
        }.count
    }
}

extension Array where Element: EncodedWork {
    /// The rows that these parts take together in a decoder.
    fileprivate var rows: Int { reduce(0) { $0 + $1.rows } }
}
