internal import Pipeline
internal import Telemetry

/// The counters and gauges of the pipeline, for Prometheus.
func metricFamilies(_ statistics: PipelineStatistics) -> [MetricFamily] {
    [
        MetricFamily(
            .gauge, "l2s_pipeline_documents", "Documents of the worker that are not finished.",
            Double(statistics.documents)),
        MetricFamily(
            .gauge, "l2s_pipeline_capacity_documents", "The most documents that are accepted.",
            Double(statistics.capacity)),
        MetricFamily(
            .gauge, "l2s_pipeline_parts",
            "Parts of documents by place; a document that is not split has one part. In decoders, "
                + "each beam of a part counts.",
            [
                ([("place", "untokenized")], Double(statistics.waiting)),
                ([("place", "prepared")], Double(statistics.prepared)),
                ([("place", "handoff")], Double(statistics.handoff)),
                ([("place", "decoding")], Double(statistics.decoding)),
            ]),
        MetricFamily(
            .gauge, "l2s_handoff_capacity_parts",
            "The most parts that the hand-off holds; encoding stops there.",
            Double(statistics.handoffCapacity)),
        MetricFamily(
            .counter, "l2s_encoder_passes", "Passes of the encoder.",
            Double(statistics.encoderPasses)),
        MetricFamily(
            .counter, "l2s_encoded_parts",
            "Parts read by all passes; divided by the passes, this is the batch fill.",
            Double(statistics.encodedParts)),
        MetricFamily(
            .counter, "l2s_shared_readings",
            "Parts that shared the reading of another part with the same prompt.",
            Double(statistics.sharedReadings)),
        MetricFamily(
            .counter, "l2s_prompt_cache_lookups", "Prompts looked up in the prompt cache.",
            [
                ([("result", "hit")], Double(statistics.promptCache.hits)),
                ([("result", "miss")], Double(statistics.promptCache.misses)),
            ]),
        MetricFamily(
            .gauge, "l2s_prompt_cache_bytes", "Size of the prompt cache.",
            Double(statistics.promptCache.bytes)),
        MetricFamily(
            .counter, "l2s_draft_tokens",
            "Tokens proposed in speculative mode, by whether the LLM took them.",
            [
                ([("result", "accepted")], Double(statistics.acceptedTokens)),
                (
                    [("result", "rejected")],
                    Double(statistics.draftedTokens - statistics.acceptedTokens)
                ),
            ]),
        MetricFamily(
            .counter, "l2s_llm_parts",
            "Parts of hybrid documents that the LLM wrote: the SLM was unsure, or to compare.",
            [
                ([("reason", "fallback")], Double(statistics.fallbackParts)),
                ([("reason", "shadow")], Double(statistics.shadowParts)),
            ]),
        MetricFamily(.gauge, "l2s_lanes", "Threads that compute.", Double(statistics.lanes)),
        MetricFamily(
            .counter, "l2s_lane_busy_seconds", "Time in which lanes worked, by kind of work.",
            [
                ([("work", "prepare")], statistics.preparing / .seconds(1)),
                ([("work", "encode")], statistics.encoding / .seconds(1)),
                ([("work", "decode")], statistics.decodingTime / .seconds(1)),
            ]),
    ]
}
